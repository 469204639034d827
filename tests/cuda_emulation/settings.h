// How emulated kernels run: the order of threads, and a bug to plant.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>

namespace slotcon::emulation {

/// What a GPU would do wrong, or might.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The order in which the threads of a block get their turns. Results may not depend on it.
enum class Schedule { kForward, kReverse, kRandom };

inline std::ostream& operator<<(std::ostream& out, Schedule schedule) {
  static constexpr const char* kNames[] = {"forward", "reverse", "random"};
  return out << kNames[static_cast<int>(schedule)];
}

/// A place in a kernel that calls one of the functions in which a bug can be planted.
struct Site {
  const char* call;
  const char* file;
  int line;

  friend bool operator==(const Site& a, const Site& b) {
    const auto same = [](const char* x, const char* y) { return x == y || std::strcmp(x, y) == 0; };
    return a.line == b.line && same(a.file, b.file) && same(a.call, b.call);
  }
  friend bool operator<(const Site& a, const Site& b) {
    return std::tuple(std::string(a.file), a.line, std::string(a.call)) <
           std::tuple(std::string(b.file), b.line, std::string(b.call));
  }
  friend std::ostream& operator<<(std::ostream& out, const Site& site) {
    return out << site.call << " at " << site.file << ":" << site.line;
  }
};

struct Settings {
  Schedule schedule = Schedule::kForward;
  std::uint64_t seed = 1;             ///< of the random schedule
  std::optional<Site> broken;         ///< the call there does nothing, or a bound is off by one
  int off_by = -1;                    ///< the bound that is broken
  std::set<Site>* visited = nullptr;  ///< if not null, collects the sites that kernels come by
};

inline Settings& settings() {
  static Settings settings;
  return settings;
}

/// Notes the visit; whether the bug is here.
inline bool broken_at(const Site& site) {
  const Settings& current = settings();
  if (current.visited != nullptr) current.visited->insert(site);
  return current.broken && *current.broken == site;
}

/// Settings for the life of the object.
class With {
 public:
  explicit With(const Settings& wanted) : before_(settings()) { settings() = wanted; }
  explicit With(Schedule schedule, std::uint64_t seed = 1)
      : With(Settings{schedule, seed, std::nullopt, -1, nullptr}) {}
  With(Schedule schedule, const Site& broken, int off_by = -1)
      : With(Settings{schedule, 1, broken, off_by, nullptr}) {}
  ~With() { settings() = before_; }
  With(const With&) = delete;
  With& operator=(const With&) = delete;

 private:
  Settings before_;
};

}  // namespace slotcon::emulation
