// How the processes of a run find each other: all come to a store that one of them keeps.
#pragma once

#include <c10/util/Exception.h>
#include <slotcon/train/process_environment.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

namespace slotcon::detail {

using Milliseconds = std::chrono::milliseconds;
using StorePtr = c10::intrusive_ptr<c10d::Store>;

inline std::string process_name(const ProcessEnvironment& place) {
  return "process " + std::to_string(place.rank) + " of " + std::to_string(place.size);
}

inline std::string meeting_point(const ProcessEnvironment& place) {
  return place.address + ":" + std::to_string(place.port);
}

/// What an error says, without the backtrace of c10's.
inline std::string reason(const std::exception& error) {
  const auto* with_backtrace = dynamic_cast<const c10::Error*>(&error);
  return with_backtrace == nullptr ? error.what() : with_backtrace->what_without_backtrace();
}

/// The store, of these processes alone; rank 0 listens for the others unless it is hosted.
inline StorePtr open_store(const ProcessEnvironment& place, Milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = place.port;
  options.isServer = place.rank == 0 && !place.is_hosted;
  options.numWorkers = static_cast<std::size_t>(place.size);
  options.waitWorkers = false;
  options.timeout = timeout;
  try {
    return c10::make_intrusive<c10d::PrefixStore>(
        "slotcon/" + std::to_string(place.restarts),
        c10::make_intrusive<c10d::TCPStore>(place.address, options));
  } catch (const std::exception& error) {
    throw std::runtime_error(process_name(place) + " cannot " +
                             (options.isServer ? "listen at " : "reach ") + meeting_point(place) +
                             ": " + reason(error));
  }
}

inline std::string arrival_of(std::int64_t rank) { return "arrived/" + std::to_string(rank); }

/// For people: whom a process has waited for in vain.
inline std::string absent_processes(c10d::Store& store, std::int64_t size) {
  try {
    std::string ranks;
    for (std::int64_t rank = 0; rank < size; ++rank) {
      if (store.check({arrival_of(rank)})) continue;
      ranks += (ranks.empty() ? "" : ", ") + std::to_string(rank);
    }
    return "process " + ranks + ", which did not come";
  } catch (const std::exception&) {
    return "the others, until nobody listened there any more";
  }
}

/// Opens the store and waits until all processes have done so. Throws std::runtime_error, naming
/// those that have not, after the timeout; a store that cannot be reached may take twice as long.
inline StorePtr meet(const ProcessEnvironment& place, Milliseconds timeout) {
  auto store = open_store(place, timeout);
  std::vector<std::string> arrivals;
  for (std::int64_t rank = 0; rank < place.size; ++rank) arrivals.push_back(arrival_of(rank));
  try {
    store->set(arrival_of(place.rank), std::vector<std::uint8_t>{1});
    store->wait(arrivals, timeout);
    return store;
  } catch (const std::exception&) {
    throw std::runtime_error(process_name(place) + " waited at " + meeting_point(place) + " for " +
                             absent_processes(*store, place.size));
  }
}

}  // namespace slotcon::detail
