// A random sample of the positions of several maps, the same on every machine.
#pragma once

#include <slotcon/data/random.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

namespace slotcon::eval {

/// Positions that k-means is fitted on at most: more do not change its score.
constexpr std::int64_t kMaxFittedPositions = 15000;

/// Draws min(limit, all) different positions from maps of the given sizes, each as likely as
/// another.
///
/// Returns, for each map, the drawn positions 0 .. size - 1 in rising order; the sample depends on
/// the sizes, the limit and the seed only. Memory and time grow with the limit, not with the sizes.
/// Source: Floyd's algorithm (Bentley and Floyd, CACM 30(9), 1987).
inline std::vector<std::vector<std::int64_t>> sample_positions(
    const std::vector<std::int64_t>& sizes, std::int64_t limit, std::uint64_t seed) {
  const std::int64_t total = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  std::set<std::int64_t> drawn;
  data::Random random(seed);
  for (std::int64_t last = std::max<std::int64_t>(total - limit, 0); last < total; ++last) {
    const auto position =
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(last) + 1));
    if (!drawn.insert(position).second) drawn.insert(last);
  }
  std::vector<std::vector<std::int64_t>> positions(sizes.size());
  auto next = drawn.begin();
  std::int64_t map_start = 0;
  for (std::size_t map = 0; map < sizes.size(); ++map) {
    const std::int64_t map_end = map_start + sizes[map];
    for (; next != drawn.end() && *next < map_end; ++next)
      positions[map].push_back(*next - map_start);
    map_start = map_end;
  }
  return positions;
}

}  // namespace slotcon::eval
