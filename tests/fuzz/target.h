// What a fuzz target is: libFuzzer's function, and a bound that tests/fuzz/mutate.cpp checks.
#pragma once

#include <cstddef>
#include <cstdint>

/// Reads a file of these bytes. Ends in every case; errors that are meant are caught.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// The most memory that reading a file of `size` bytes may take from operator new at a time.
std::size_t most_memory(std::size_t size);
