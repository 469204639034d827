// A process' place among those of a run, as the environment tells it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon {

/// What the environment variables of torchrun say, which `run_local_processes` sets too.
struct ProcessEnvironment {
  std::int64_t rank = 0;        ///< RANK: which of the run's processes this is, from 0
  std::int64_t size = 1;        ///< WORLD_SIZE: how many there are
  std::int64_t local_rank = 0;  ///< LOCAL_RANK: which of this machine's it is, from 0
  std::string address;          ///< MASTER_ADDR, where they meet: rank 0 listens there
  std::uint16_t port = 0;       ///< MASTER_PORT
  bool is_hosted = false;  ///< TORCHELASTIC_USE_AGENT_STORE: who started them listens, not rank 0
  std::int64_t restarts = 0;  ///< TORCHELASTIC_RESTART_COUNT
};

namespace detail {

inline std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

/// The variable as a number in `lowest` ... `highest`, or `otherwise` where it is not set.
inline std::int64_t environment_number(const char* name, std::int64_t lowest, std::int64_t highest,
                                       std::optional<std::int64_t> otherwise = std::nullopt) {
  const auto text = environment_variable(name);
  if (!text && otherwise) return *otherwise;
  const auto fail = [&](const std::string& what) {
    throw std::invalid_argument("process_environment: expected " + std::string(name) + " in " +
                                std::to_string(lowest) + " ... " + std::to_string(highest) + what);
  };
  if (!text) fail(" beside WORLD_SIZE, which is not set");
  char* end = nullptr;
  const auto number = std::strtoll(text->c_str(), &end, 10);
  if (text->empty() || *end != '\0' || number < lowest || number > highest) {
    fail(", got '" + *text + "'");
  }
  return number;
}

}  // namespace detail

/// The place that the environment gives this process; nothing unless WORLD_SIZE is set.
///
/// RANK, MASTER_ADDR and MASTER_PORT must then be set too; LOCAL_RANK is RANK by default.
/// Throws std::invalid_argument, naming the variable, for one that is missing or makes no sense.
inline std::optional<ProcessEnvironment> process_environment() {
  if (!detail::environment_variable("WORLD_SIZE")) return std::nullopt;
  constexpr auto kMost = std::numeric_limits<std::int32_t>::max();
  ProcessEnvironment place;
  place.size = detail::environment_number("WORLD_SIZE", 1, kMost);
  place.rank = detail::environment_number("RANK", 0, place.size - 1);
  place.local_rank = detail::environment_number("LOCAL_RANK", 0, place.size - 1, place.rank);
  place.port = static_cast<std::uint16_t>(detail::environment_number("MASTER_PORT", 1, 65535));
  place.restarts = detail::environment_number("TORCHELASTIC_RESTART_COUNT", 0, kMost, 0);
  place.is_hosted = detail::environment_variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
  const auto address = detail::environment_variable("MASTER_ADDR");
  if (!address) {
    throw std::invalid_argument(
        "process_environment: expected MASTER_ADDR beside WORLD_SIZE, which is not set");
  }
  place.address = *address;
  return place;
}

/// The variables, "NAME=value" each, that give a process this place.
inline std::vector<std::string> environment_of(const ProcessEnvironment& place) {
  return {"RANK=" + std::to_string(place.rank),
          "WORLD_SIZE=" + std::to_string(place.size),
          "LOCAL_RANK=" + std::to_string(place.local_rank),
          "MASTER_ADDR=" + place.address,
          "MASTER_PORT=" + std::to_string(place.port),
          std::string("TORCHELASTIC_USE_AGENT_STORE=") + (place.is_hosted ? "True" : "False"),
          "TORCHELASTIC_RESTART_COUNT=" + std::to_string(place.restarts)};
}

}  // namespace slotcon
