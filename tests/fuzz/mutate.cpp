// A short, repeatable fuzz test where there is no libFuzzer: fuzz_target COUNT FOLDER...
//
// Reads every file of the folders, then COUNT changed copies of each; the changes depend on the
// file's place alone. Ends with an error if reading ends the program, or takes more memory than the
// target says. The last line names the file at fault.
#include <slotcon/data/random.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <vector>

#include "tests/fuzz/target.h"

namespace {

std::size_t taken = 0, most_taken = 0;  // bytes from operator new

/// Bytes are counted in front of what is handed out.
constexpr std::size_t kFront = alignof(std::max_align_t);

}  // namespace

void* operator new(std::size_t size) {
  auto* memory = static_cast<char*>(std::malloc(kFront + size));
  if (memory == nullptr) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(memory) = size;
  taken += size;
  most_taken = std::max(most_taken, taken);
  return memory + kFront;
}

void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  auto* front = static_cast<char*>(memory) - kFront;
  taken -= *reinterpret_cast<std::size_t*>(front);
  std::free(front);
}

void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

namespace {

using Bytes = std::vector<std::uint8_t>;
using slotcon::data::Random;

Bytes content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::filesystem::path> files_of(int count, char** folders) {
  std::vector<std::filesystem::path> files;
  for (int i = 0; i < count; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(folders[i]))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::size_t place_in(const Bytes& bytes, Random& random) {
  return static_cast<std::size_t>(random.below(bytes.size() + 1));
}

/// One change: a bit, a byte, a number of extreme value, a part cut out, repeated or moved.
void change(Bytes& bytes, Random& random) {
  const auto begin = place_in(bytes, random);
  const auto end = std::min(bytes.size(), begin + random.below(64));
  const Bytes part(bytes.begin() + begin, bytes.begin() + end);
  switch (random.below(6)) {
    case 0:
      if (begin < bytes.size()) bytes[begin] ^= static_cast<std::uint8_t>(1u << random.below(8));
      break;
    case 1:
      if (begin < bytes.size()) bytes[begin] = static_cast<std::uint8_t>(random.bits());
      break;
    case 2:
      for (std::size_t i = begin; i < std::min(bytes.size(), begin + 8); ++i)
        bytes[i] = random.below(2) == 0 ? 0xFF : 0;
      break;
    case 3:
      bytes.erase(bytes.begin() + begin, bytes.begin() + end);
      break;
    case 4:
      bytes.insert(bytes.begin() + place_in(bytes, random), part.begin(), part.end());
      break;
    default:
      std::copy(part.begin(), part.begin() + std::min(part.size(), bytes.size() - end),
                bytes.begin() + end);
  }
}

/// Runs the target. Bytes go to memory of their very size, beyond which sanitizers look.
void run(const Bytes& bytes) {
  const Bytes input(bytes.begin(), bytes.end());
  most_taken = taken;
  const auto before = taken;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  if (most_taken - before <= most_memory(input.size())) return;
  std::fprintf(stderr, "reading %zu bytes took %zu bytes of memory, expected at most %zu\n",
               input.size(), most_taken - before, most_memory(input.size()));
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s COUNT FOLDER...\n", argv[0]);
    return 2;
  }
  const auto files = files_of(argc - 2, argv + 2);
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::printf("%s\n", files[i].c_str());
    std::fflush(stdout);
    const auto original = content(files[i]);
    run(original);
    for (int copy = 0; copy < std::atoi(argv[1]); ++copy) {
      auto random = Random::keyed(i, static_cast<std::uint64_t>(copy));
      auto bytes = original;
      for (auto changes = 1 + random.below(4); changes > 0; --changes) change(bytes, random);
      run(bytes);
    }
  }
  return files.empty() ? 1 : 0;
}
