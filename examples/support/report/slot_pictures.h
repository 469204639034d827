// What the slots found, as pictures inside of a page.
#pragma once

#include <slotcon/data/image_file.h>
#include <slotcon/view/color_map.h>
#include <slotcon/view/heat_map.h>
#include <slotcon/view/html.h>
#include <slotcon/view/number_text.h>
#include <slotcon/view/prototype_sheet.h>
#include <slotcon/view/prototype_usage.h>
#include <slotcon/view/segmentation.h>
#include <slotcon/view/usage_histogram.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "support/evaluation.h"
#include "support/pictures.h"
#include "support/report/page.h"

namespace examples {

/// Images, small enough for a page, with the scores [K,h,w] of their slots.
struct SlotPictures {
  std::string source;  ///< what the images are, "folder val/images"
  std::vector<std::string> names;
  std::vector<slotcon::data::Image> images;
  std::vector<torch::Tensor> scores;
};

constexpr std::int64_t kPicturedImages = 100;  // that prototypes are looked for in
constexpr std::int64_t kShownImages = 6;       // that are shown one by one
constexpr std::int64_t kShownHeatMaps = 4;     // of each of them
constexpr std::int64_t kShownPrototypes = 12;  // the most used ones
constexpr std::int64_t kNearestImages = 5;     // of each of them
constexpr std::int64_t kSeenSide = 256;        // shorter side that the network sees, at most
constexpr std::int64_t kShownSide = 112;       // shorter side on the page, at most

/// Shows images of a source to the model, at most kPicturedImages, from its first to its last as
/// evenly as can be. `names` has a name for each of them, or none.
template <class Model>
SlotPictures look_at(Model& model, const slotcon::data::ImageSource& images,
                     const std::vector<std::string>& names, std::string source) {
  SlotPictures pictures;
  pictures.source = std::move(source);
  const auto count = std::min(images.size(), kPicturedImages);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto index = i * images.size() / count;
    const auto image = reduced(images.load(index), kSeenSide);
    pictures.scores.push_back(dense_maps(model, {image}).scores[0]);
    pictures.images.push_back(reduced(image, kShownSide));
    pictures.names.push_back(names.empty() ? "image " + std::to_string(index + 1)
                                           : names.at(static_cast<std::size_t>(index)));
  }
  return pictures;
}

namespace detail {

/// A picture with a caption of HTML. What it shows is `description`, for readers who cannot see.
inline std::string cell(const slotcon::data::Image& picture, const std::string& description,
                        const std::string& caption) {
  const auto size = "width=\"" + std::to_string(picture.width) + "\" height=\"" +
                    std::to_string(picture.height) + "\"";
  auto html = "<figure><img " + size + " alt=\"" + slotcon::view::escape_html(description) +
              "\" src=\"" +
              slotcon::view::data_uri("image/png", slotcon::data::encode_png(picture)) + "\"/>";
  if (!caption.empty()) html += "<figcaption>" + caption + "</figcaption>";
  return html + "</figure>\n";
}

/// A slot's number behind the colour that it has in segmentations.
inline std::string slot_name(const std::string& kind, std::int64_t slot) {
  const auto color = slotcon::view::palette_color(static_cast<std::size_t>(slot));
  return "<span class=\"swatch\" style=\"background:" + slotcon::view::hex_color(color) +
         "\"></span>" + kind + " " + std::to_string(slot);
}

inline std::string image_row(const SlotPictures& pictures, std::size_t i) {
  const auto& image = pictures.images[i];
  const auto& name = pictures.names[i];
  const auto winners = winning_slots(pictures.scores[i], image);
  const auto pixels = torch::bincount(winners.flatten());
  const auto found = (pixels > 0).sum().item<std::int64_t>();
  auto html = "<div><h3>" + slotcon::view::escape_html(name) + "</h3>\n<div class=\"cells\">\n" +
              cell(image, name, "image") +
              cell(slotcon::view::color_segmentation(winners),
                   "Segmentation of " + name + ": " + std::to_string(found) + " slots",
                   std::to_string(found) + " slots");
  for (const auto slot : largest_slots(winners, kShownHeatMaps)) {
    const auto share = pixels[slot].item<double>() / static_cast<double>(winners.numel());
    html += cell(slotcon::view::heat_map(pictures.scores[i][slot], image),
                 "Where slot " + std::to_string(slot) + " scores high in " + name,
                 slot_name("slot", slot) + ", " + slotcon::view::percent_text(share));
  }
  return html + "</div></div>\n";
}

inline std::string prototype_row(const SlotPictures& pictures, const torch::Tensor& order,
                                 std::int64_t prototype, double usage) {
  auto html = "<div><h3>" + slot_name("prototype", prototype) + ", " +
              slotcon::view::percent_text(usage) +
              " of all positions</h3>\n<div class=\"cells\">\n";
  for (std::int64_t rank = 0; rank < order.size(1); ++rank) {
    const auto i = static_cast<std::size_t>(order[prototype][rank].item<std::int64_t>());
    html +=
        cell(slotcon::view::tint_winning_region(pictures.scores[i], prototype, pictures.images[i]),
             pictures.names[i] + ", with the region of prototype " + std::to_string(prototype) +
                 " in red",
             "");
  }
  return html + "</div></div>\n";
}

/// Prototypes that win anything, the most used first.
inline std::vector<std::int64_t> used_prototypes(const std::vector<double>& usage) {
  std::vector<std::int64_t> order(usage.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const auto used = [&](std::int64_t k) { return usage[static_cast<std::size_t>(k)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return used(a) > used(b); });
  order.erase(std::find_if(order.begin(), order.end(), [&](auto k) { return used(k) == 0; }),
              order.end());
  return order;
}

/// exp of the entropy of the shares: as many prototypes, used alike, would be as diverse.
inline double perplexity_of(const std::vector<double>& usage) {
  double entropy = 0;
  for (const double share : usage) {
    if (share > 0) entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

}  // namespace detail

/// Some of the images with their segmentations and heat maps.
inline PageSection slots_section(const SlotPictures& pictures) {
  auto html =
      "<p class=\"note\">Each image, the slot that wins each of its pixels, and the scores of its "
      "largest slots, low<span class=\"heat\"></span>high. Shares are those of the pixels "
      "that a slot wins. Images: " +
      slotcon::view::escape_html(pictures.source) + ".</p>\n<div class=\"picture-rows\">\n";
  const auto shown = std::min(pictures.images.size(), static_cast<std::size_t>(kShownImages));
  for (std::size_t i = 0; i < shown; ++i) {
    html += detail::image_row(pictures, i * pictures.images.size() / shown);
  }
  return {"slots", "What the slots found", html + "</div>\n"};
}

/// How often each prototype wins, and the images that the most used ones fit best.
inline PageSection prototypes_section(const SlotPictures& pictures) {
  const auto usage = slotcon::view::prototype_usage(pictures.scores);
  const auto used = detail::used_prototypes(usage);
  const auto shown = std::min(used.size(), static_cast<std::size_t>(kShownPrototypes));
  const auto count = static_cast<std::int64_t>(pictures.images.size());
  const Facts facts{
      {"Images", std::to_string(count)},
      {"Prototypes", std::to_string(usage.size())},
      {"Win a position", std::to_string(used.size())},
      {"Perplexity of the shares", slotcon::view::short_number(detail::perplexity_of(usage))},
      {"Most used",
       "prototype " + std::to_string(used.front()) + ", " +
           slotcon::view::percent_text(usage[static_cast<std::size_t>(used.front())])}};
  auto html = "<div class=\"charts usage\"><figure class=\"card\"><h3>Usage</h3>\n" +
              slotcon::view::usage_histogram(usage) +
              "<figcaption>Share of positions that each prototype wins, in its colour of the "
              "segmentations.</figcaption></figure>\n<div>" +
              list_of(facts) + "</div></div>\n<h3>Nearest images</h3>\n";
  html += paragraph("The " + std::to_string(shown) +
                        " most used prototypes, each with the images "
                        "where its score is highest on average over the region that it wins (red).",
                    "note");
  html += "<div class=\"picture-rows two\">\n";
  const auto ranking = slotcon::view::rank_images(maps_of_one_size(pictures.scores),
                                                  std::min(kNearestImages, count));
  for (std::size_t i = 0; i < shown; ++i) {
    html += detail::prototype_row(pictures, ranking.order, used[i],
                                  usage[static_cast<std::size_t>(used[i])]);
  }
  return {"prototypes", "Prototypes", html + "</div>\n"};
}

}  // namespace examples
