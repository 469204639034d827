// Takes weights from a checkpoint to other programs, and back.
//
// The whole model for Python, and the teacher's backbone for torchvision, Detectron2 and
// MMSegmentation:
//     convert run1/current.ckpt slotcon.pth
//     convert run1/current.ckpt backbone.pth --to torchvision
//     convert run1/current.ckpt backbone.pkl --to detectron2
//     convert run1/current.ckpt backbone.pth --to mmsegmentation
//
// Published checkpoints and what was converted before are read as well; segment and visualize read
// them without conversion.
#include <slotcon/io/detectron2.h>
#include <slotcon/io/pth.h>
#include <slotcon/io/safetensors.h>
#include <slotcon/io/weights.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "support/errors.h"
#include "support/model_of_weights.h"

namespace examples {
namespace {

struct ConvertOptions {
  std::string from, to, layout;
};

/// What a layout is, and the files that can have it.
struct Layout {
  const char* content;
  std::set<std::string> extensions;
};

const std::map<std::string, Layout>& layouts() {
  static const std::map<std::string, Layout> table{
      {"slotcon",
       {"the whole model, named as in published checkpoints", {".pth", ".pt", ".safetensors"}}},
      {"torchvision",
       {"the teacher's backbone, named as in torchvision", {".pth", ".pt", ".safetensors"}}},
      {"detectron2", {"the teacher's backbone, named as in Detectron2", {".pkl"}}},
      {"mmsegmentation", {"the teacher's backbone, laid out for MMSegmentation", {".pth", ".pt"}}}};
  return table;
}

void add_flags(CLI::App& app, ConvertOptions& o) {
  app.add_option("FROM", o.from, "a checkpoint of pretrain, or SlotCon as .pth or .safetensors")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("TO", o.to, "the file to write: .pth, .pt, .safetensors, or .pkl for Detectron2")
      ->required();
  app.add_option("--to", o.layout,
                 "slotcon: the whole model; torchvision, detectron2, mmsegmentation: the teacher's "
                 "backbone")
      ->check(CLI::IsMember({"slotcon", "torchvision", "detectron2", "mmsegmentation"}))
      ->default_val("slotcon");
}

/// The layout asked for. Throws std::invalid_argument if files of that extension do not have it.
const Layout& layout_of(const ConvertOptions& options) {
  const auto& layout = layouts().at(options.layout);
  const auto extension = std::filesystem::path(options.to).extension().string();
  if (layout.extensions.count(extension) == 1) return layout;
  std::string expected;
  for (const auto& one : layout.extensions) expected += (expected.empty() ? "" : ", ") + one;
  throw std::invalid_argument("expected a file " + expected + " for --to " + options.layout +
                              ", got '" + options.to + "'");
}

bool is_safetensors(const std::string& file) {
  return std::filesystem::path(file).extension() == ".safetensors";
}

/// The tensors under the names that published checkpoints have, which were trained in parallel.
slotcon::NamedTensors as_published(const slotcon::NamedTensors& weights) {
  slotcon::NamedTensors renamed;
  for (const auto& [name, tensor] : weights) renamed.insert("module." + name, tensor);
  return renamed;
}

void write_model(const std::string& file, const slotcon::NamedTensors& weights) {
  if (is_safetensors(file)) {
    slotcon::io::write_safetensors(file, weights);
  } else {
    slotcon::io::write_pth(file, as_published(weights), "model");
  }
}

void write_backbone(const std::string& file, const std::string& layout,
                    const slotcon::NamedTensors& backbone) {
  if (layout == "detectron2") {
    slotcon::io::write_detectron2(file, backbone);
  } else if (is_safetensors(file)) {
    slotcon::io::write_safetensors(file, backbone);
  } else {
    slotcon::io::write_pth(file, backbone, layout == "mmsegmentation" ? "state_dict" : "");
  }
}

/// Throws std::invalid_argument for an encoder that only slotcon has, unless it stays there.
void check_encoder(const ModelOptions& model, const std::string& layout) {
  if (layout == "slotcon" || model.arch != "tiny") return;
  throw std::invalid_argument("expected a ResNet for --to " + layout + ", got the encoder " +
                              model.arch + ", which others do not have");
}

/// "50" of resnet50.
std::string depth_of(const ModelOptions& model) {
  return model.arch.substr(std::string("resnet").size());
}

/// What to write or type on the other side.
std::string use_of(const ConvertOptions& options, const ModelOptions& model) {
  const auto& file = options.to;
  const auto loaded = is_safetensors(file) ? "safetensors.torch.load_file('" + file + "')"
                                           : "torch.load('" + file + "', weights_only=True)";
  if (options.layout == "torchvision")
    return "torchvision.models." + model.arch + "().load_state_dict(" + loaded + ", strict=False)";
  if (options.layout == "detectron2")
    return "MODEL.WEIGHTS " + file + " MODEL.RESNETS.DEPTH " + depth_of(model) +
           " MODEL.RESNETS.STRIDE_IN_1X1 False INPUT.FORMAT RGB";
  if (options.layout == "mmsegmentation")
    return "backbone=dict(type='ResNet', depth=" + depth_of(model) +
           ", init_cfg=dict(type='Pretrained', checkpoint='" + file + "'))";
  return "segment --checkpoint " + file + ", or in Python " + loaded +
         (is_safetensors(file) ? "" : "['model']");
}

void say_what_is_there(const std::string& file, const std::string& content, std::size_t tensors) {
  std::printf("%s: %s; %zu tensors, %.1f MB\n", file.c_str(), content.c_str(), tensors,
              static_cast<double>(std::filesystem::file_size(file)) / 1e6);
}

int run_program(int argc, char** argv) {
  ConvertOptions options;
  CLI::App app("Takes weights from a checkpoint to other programs, and back.");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);

  const auto& layout = layout_of(options);
  const auto weights = slotcon::io::read_weights(options.from);
  const auto model = options_of_weights(weights, options.from);
  check_encoder(model, options.layout);
  say_what_is_there(
      options.from,
      "SlotCon of " + model.arch + " with " + std::to_string(model.num_prototypes) + " prototypes",
      weights.size());
  if (options.layout == "slotcon") {
    write_model(options.to, weights);
    say_what_is_there(options.to, layout.content, weights.size());
  } else {
    const auto backbone = slotcon::io::teacher_backbone(weights);
    write_backbone(options.to, options.layout, backbone);
    say_what_is_there(options.to, layout.content, backbone.size());
  }
  std::printf("  %s\n", use_of(options, model).c_str());
  return 0;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  return examples::report_errors("convert", examples::run_program, argc, argv);
}
