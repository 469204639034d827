// One thread of the data pipeline: JPEG files in memory to normalised views, whole and by stage.
//
//     SLOTCON_BENCHMARK_IMAGES=FOLDER slotcon_data_benchmarks          every .jpg of the folder
#include <benchmark/benchmark.h>
#include <slotcon/data/detail/jpeg_decoder.h>
#include <slotcon/data/detail/normalisation.h>
#include <slotcon/data/two_view_transform.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

namespace {

using slotcon::data::Image;
using slotcon::data::Random;
using Bytes = slotcon::data::detail::Bytes;

constexpr int kSide = 224;

/// The files of the folder that SLOTCON_BENCHMARK_IMAGES names, and what they hold.
struct Images {
  Images() {
    const char* folder = std::getenv("SLOTCON_BENCHMARK_IMAGES");
    if (folder == nullptr) throw std::runtime_error("SLOTCON_BENCHMARK_IMAGES is not set");
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".jpg") continue;
      std::ifstream file(entry.path(), std::ios::binary);
      files.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
      decoded.push_back(slotcon::data::detail::decode_jpeg(files.back()));
    }
    if (files.empty()) throw std::runtime_error("SLOTCON_BENCHMARK_IMAGES has no .jpg");
  }

  std::vector<Bytes> files;
  std::vector<Image> decoded;
};

const Images& images() {
  static const Images all;
  return all;
}

/// Runs `make(i, random)` with another image and another stream of random numbers each time.
template <class Make>
void run(benchmark::State& state, const Make& make) {
  const std::size_t count = images().files.size();
  std::uint64_t calls = 0;
  for (auto _ : state) {
    Random random = Random::keyed(/*seed=*/0, /*epoch=*/0, calls);
    benchmark::DoNotOptimize(make(static_cast<std::size_t>(calls++) % count, random));
  }
  state.SetItemsProcessed(state.iterations());
}

void decode(benchmark::State& state) {
  run(state, [](std::size_t i, Random& /*random*/) {
    return slotcon::data::detail::decode_jpeg(images().files[i]);
  });
}

void two_views(benchmark::State& state) {
  run(state, [](std::size_t i, Random& random) {
    return slotcon::data::make_two_views(images().decoded[i], {}, random);
  });
}

/// What a loader's thread does for an image.
void decode_to_normalised_views(benchmark::State& state) {
  std::vector<float> numbers(3 * kSide * kSide);
  run(state, [&](std::size_t i, Random& random) {
    const auto image = slotcon::data::detail::decode_jpeg(images().files[i]);
    const auto views = slotcon::data::make_two_views(image, {}, random);
    for (const auto& view : views) {
      slotcon::data::detail::normalise(view.image.pixels, numbers.data());
      benchmark::ClobberMemory();
    }
    return numbers[0];
  });
}

void crop_and_resize(benchmark::State& state) {
  run(state, [](std::size_t i, Random& random) {
    const Image& image = images().decoded[i];
    const auto crop = slotcon::data::random_crop(image.height, image.width, 0.08, random);
    return slotcon::data::crop_and_resize(image, crop, kSide, kSide,
                                          slotcon::data::Filter::kBicubic);
  });
}

/// `change` of one view; its copy is measured too, 1 % of the quickest change.
template <class Change>
void change_view(benchmark::State& state, const Change& change) {
  const auto view =
      slotcon::data::resize(images().decoded[0], kSide, kSide, slotcon::data::Filter::kBicubic);
  run(state, [&](std::size_t /*i*/, Random& random) {
    Image changed = view;
    change(changed, random);
    return changed;
  });
}

void color_jitter(benchmark::State& state) {
  change_view(state, [](Image& image, Random& random) {
    slotcon::data::color_jitter(image, slotcon::data::ColorJitter(), random);
  });
}

void gaussian_blur(benchmark::State& state) {
  change_view(state, [](Image& image, Random& random) {
    slotcon::data::gaussian_blur(image, random.uniform(0.1, 2.0));
  });
}

void adjust_hue(benchmark::State& state) {
  change_view(state, [](Image& image, Random& random) {
    slotcon::data::adjust_hue(image, random.uniform(-0.1, 0.1));
  });
}

void grayscale(benchmark::State& state) {
  change_view(state, [](Image& image, Random& /*random*/) { slotcon::data::grayscale(image); });
}

void solarize(benchmark::State& state) {
  change_view(state, [](Image& image, Random& /*random*/) { slotcon::data::solarize(image); });
}

void flip_horizontal(benchmark::State& state) {
  change_view(state,
              [](Image& image, Random& /*random*/) { slotcon::data::flip_horizontal(image); });
}

BENCHMARK(decode_to_normalised_views);
BENCHMARK(decode);
BENCHMARK(two_views);
BENCHMARK(crop_and_resize);
BENCHMARK(color_jitter);
BENCHMARK(adjust_hue);
BENCHMARK(gaussian_blur);
BENCHMARK(grayscale);
BENCHMARK(solarize);
BENCHMARK(flip_horizontal);

}  // namespace

BENCHMARK_MAIN();
