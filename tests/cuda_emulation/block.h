// One block of threads: a fiber for each, and the scheduler that gives them their turns.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "fiber.h"
#include "settings.h"

namespace slotcon::emulation {

constexpr int kWarp = 32;

/// A copy from global to shared memory that has been started and not been made yet.
struct PendingCopy {
  void* to;
  const void* from;
  std::size_t bytes;
  bool valid;
};

struct Thread {
  enum class State { kReady, kAtBlockBarrier, kAtWarpBarrier, kDone };

  Fiber fiber;
  State state = State::kReady;
  Site at{};            // the barrier where it waits
  unsigned parity = 0;  // which of the two exchange buffers of its warp is next
  std::deque<std::vector<PendingCopy>> committed;
  std::vector<PendingCopy> copies;  // since the last commit
};

class Block {
 public:
  /// What the lanes of a warp hand to each other. There are two, in turn: with one, a lane would
  /// overwrite what a slower lane has not yet read.
  struct Exchange {
    static constexpr std::size_t kBytes = 64;
    unsigned char lanes[2][kWarp][kBytes];
  };

  Block(int threads, std::size_t shared_bytes)
      : threads_(static_cast<std::size_t>(threads)),
        exchanges_(static_cast<std::size_t>(threads / kWarp)),
        warp_turns_(turns(exchanges_.size())),
        lane_turns_(turns(kWarp)),
        shared_bytes_(shared_bytes),
        shared_(static_cast<unsigned char*>(::operator new(shared_bytes, kSharedAlignment))),
        random_(settings().seed * 0x9E3779B97F4A7C15ull | 1) {}

  /// The block whose threads run now.
  static Block*& current() {
    static Block* block = nullptr;
    return block;
  }

  /// Runs the kernel on every thread; `on_turn` is told whose turn it is.
  void run(const std::function<void()>& kernel, const std::function<void(int)>& on_turn) {
    kernel_ = &kernel;
    std::memset(shared_.get(), kPoison, shared_bytes_);
    for (auto& thread : threads_) {
      thread.state = Thread::State::kReady;
      thread.parity = 0;
      thread.committed.clear();
      thread.copies.clear();
      thread.fiber.start(&Block::enter);
    }
    current() = this;
    const struct Leave {
      ~Leave() { current() = nullptr; }
    } leave;
    while (!all(Thread::State::kDone)) {
      const bool some_ran = run_warps(on_turn);
      if (!release_block() && !some_ran) throw Error("deadlock: " + where_threads_wait());
    }
  }

  // ---- For the thread that runs ----

  int thread_index() const { return running_; }
  int lane() const { return running_ % kWarp; }
  Thread& thread() { return threads_[static_cast<std::size_t>(running_)]; }
  unsigned char* shared() { return shared_.get(); }

  bool in_shared(const void* address, std::size_t bytes) const {
    const auto* first = static_cast<const unsigned char*>(address);
    return first >= shared_.get() && first + bytes <= shared_.get() + shared_bytes_;
  }

  void wait(Thread::State barrier, const Site& at) {
    thread().state = barrier;
    thread().at = at;
    pause();
  }

  /// Gives `value` to the other lanes and waits for theirs: [lane][bytes].
  template <class T>
  const unsigned char (&exchange(const T& value, const Site& at))[kWarp][Exchange::kBytes] {
    static_assert(sizeof(T) <= Exchange::kBytes);
    auto& buffer = exchanges_[static_cast<std::size_t>(running_ / kWarp)].lanes[thread().parity];
    thread().parity ^= 1;
    std::memcpy(buffer[lane()], &value, sizeof(T));
    wait(Thread::State::kAtWarpBarrier, at);
    return buffer;
  }

  /// Ends the kernel with an error, which run() throws: no exception may leave a fiber. Nothing on
  /// its stack is destroyed, hence no std::string here.
  [[noreturn]] void fail(const char* what) {
    failure_ = what;
    thread().fiber.pause(/*last=*/true);
    std::abort();
  }

 private:
  static constexpr std::align_val_t kSharedAlignment{128};
  static constexpr int kPoison = 0xFF;  // a NaN in every type of float
  struct FreeShared {
    void operator()(unsigned char* bytes) const { ::operator delete(bytes, kSharedAlignment); }
  };

  static void enter() {
    Block& block = *current();
    block.thread().fiber.entered();
    (*block.kernel_)();
    block.thread().state = Thread::State::kDone;
    block.pause();
    std::abort();
  }

  void pause() { thread().fiber.pause(thread().state == Thread::State::kDone); }

  bool all(Thread::State state) const {
    return std::all_of(threads_.begin(), threads_.end(),
                       [&](const Thread& thread) { return thread.state == state; });
  }

  std::size_t random(std::size_t below) {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_ % below;
  }

  /// 0 to count - 1 in the order of the schedule.
  static std::vector<std::size_t> turns(std::size_t count) {
    std::vector<std::size_t> turns(count);
    std::iota(turns.begin(), turns.end(), std::size_t{0});
    if (settings().schedule == Schedule::kReverse) std::reverse(turns.begin(), turns.end());
    return turns;
  }

  const std::vector<std::size_t>& next(std::vector<std::size_t>& turns) {
    if (settings().schedule == Schedule::kRandom) {
      for (std::size_t i = turns.size(); i > 1; --i) std::swap(turns[i - 1], turns[random(i)]);
    }
    return turns;
  }

  /// Each warp in turn runs until its threads end or wait for the block.
  bool run_warps(const std::function<void(int)>& on_turn) {
    bool some_ran = false;
    for (const auto warp : next(warp_turns_)) {
      do {
        for (const auto lane : next(lane_turns_)) {
          Thread& thread = threads_[warp * kWarp + lane];
          if (thread.state != Thread::State::kReady) continue;
          running_ = static_cast<int>(warp * kWarp + lane);
          on_turn(running_);
          thread.fiber.resume();
          if (!failure_.empty()) throw Error(failure_);
          some_ran = true;
        }
      } while (release_warp(warp));
    }
    return some_ran;
  }

  bool release_warp(std::size_t warp) {
    return release(warp * kWarp, (warp + 1) * kWarp, Thread::State::kAtWarpBarrier);
  }
  bool release_block() { return release(0, threads_.size(), Thread::State::kAtBlockBarrier); }

  /// Whether all threads from first to last were at the barrier, and at the same one.
  bool release(std::size_t first, std::size_t last, Thread::State barrier) {
    for (std::size_t i = first; i < last; ++i) {
      if (threads_[i].state != barrier) return false;
    }
    for (std::size_t i = first; i < last; ++i) {
      if (!(threads_[i].at == threads_[first].at)) {
        throw Error("threads meet at different barriers: " + where_threads_wait());
      }
    }
    for (std::size_t i = first; i < last; ++i) threads_[i].state = Thread::State::kReady;
    return true;
  }

  std::string where_threads_wait() const {
    std::ostringstream text;
    std::set<Site> sites;
    std::size_t ended = 0;
    for (const auto& thread : threads_) {
      if (thread.state == Thread::State::kDone) {
        ++ended;
      } else {
        sites.insert(thread.at);
      }
    }
    text << ended << " of " << threads_.size() << " threads have ended, others wait in";
    for (const auto& site : sites) text << " " << site;
    return text.str();
  }

  std::vector<Thread> threads_;
  std::vector<Exchange> exchanges_;  // of the warps
  std::vector<std::size_t> warp_turns_, lane_turns_;
  std::size_t shared_bytes_;
  std::unique_ptr<unsigned char, FreeShared> shared_;
  std::uint64_t random_;
  const std::function<void()>* kernel_ = nullptr;
  int running_ = 0;
  std::string failure_;
};

}  // namespace slotcon::emulation
