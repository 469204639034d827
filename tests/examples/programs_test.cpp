// The example programs from end to end, on sets that train in seconds.
#include "tests/examples/programs.h"

#include <gtest/gtest.h>
#include <slotcon/data/image_file.h>
#include <slotcon/data/image_folder.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/run_program.h"

namespace {

namespace fs = std::filesystem;
using slotcon::testing::ProgramResult;
using slotcon::testing::run_program;

/// A table on a page has all rows of a table of scores, in their order, below its two of headings.
void expect_rows(const nlohmann::json& table, const nlohmann::json& scores) {
  ASSERT_EQ(table.size(), scores.size() + 2);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const auto& row = scores[i];
    std::vector<std::string> expected{row.at("method"), row.at("clusters").dump()};
    for (const auto* matching : {"hungarian", "majority"}) {
      for (const auto* figure : {"mean_iou", "pixel_accuracy"}) {
        char text[16];
        std::snprintf(text, sizeof text, "%.3f", row.at(matching).at(figure).get<double>());
        expected.emplace_back(text);
      }
    }
    EXPECT_EQ(table[i + 2], nlohmann::json(expected)) << row;
  }
}

TEST_F(Programs, PretrainLogsEveryStepScoresAndDraws) {
  const auto result = run_program(pretrain_command("run") + " --epochs 2");
  ASSERT_EQ(result.status, 0) << result.output;
  const auto lines = log("run");
  ASSERT_EQ(lines.size(), 8U);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].at("step"), i);
    const double expected = 0.5 * 2 * lines[i].at("cross_entropy").get<double>() +
                            0.5 * 2 * lines[i].at("contrast").get<double>();
    EXPECT_NEAR(lines[i].at("loss").get<double>(), expected, 1e-5);
  }
  const auto picture = slotcon::data::read_image(path("run/slots.png"));
  EXPECT_GE(picture.width,
            3 * 2 * 96);  // image, segmentation, a heat map or more, at twice their size
  EXPECT_GE(picture.height, 6 * 2 * 96);  // six images
  const auto scores =
      nlohmann::json::parse(std::ifstream(folder / "run" / "scores.json")).at("rows");
  ASSERT_EQ(scores.size(), 3U + 3U + 9U);  // trained, untrained, baselines
  for (const auto& row : scores) {
    EXPECT_GT(row.at("hungarian").at("mean_iou").get<double>(), 0.0) << row;
    EXPECT_NE(result.output.find(row.at("method").get<std::string>()), std::string::npos) << row;
  }
  const auto page = read_page("run/report.html");
  EXPECT_EQ(page.at("title"), "SlotCon training finished");
  EXPECT_EQ(page.at("sections"), nlohmann::json({"slots", "prototypes", "scores", "training",
                                                 "diagnostics", "options"}));
  expect_rows(page.at("tables").at(0), scores);
  EXPECT_EQ(page.at("tables").at(1).at(1).at(0), "sky");  // the classes of scenes have names
  EXPECT_EQ(page.at("charts").size(), 1U + 7U + 6U);      // usage, training, diagnostics
  const auto& facts = page.at("facts");
  EXPECT_EQ(facts.at("num-prototypes"), "4");
  EXPECT_EQ(facts.at("epochs"), "2");
  EXPECT_EQ(facts.at("Images"), "100 of scenes, another set than the one it was trained on");
}

TEST_F(Programs, PretrainIsTheSameForAnyNumberOfWorkers) {
  ASSERT_EQ(pretrain("one", " --epochs 1").status, 0);
  ASSERT_EQ(pretrain("three", " --epochs 1 --num-workers 3 --cache-mb 0").status, 0);
  EXPECT_EQ(log("one").back().at("loss"), log("three").back().at("loss"));
}

TEST_F(Programs, InterruptedRunGoesOnExactly) {
  ASSERT_EQ(pretrain("whole", " --epochs 40").status, 0);
  const auto command = scored_pretrain_command("parts") + " --epochs 40";
  const auto stopped = run_program(when_lines_are_logged("parts", 7, command, "kill -INT $pid"));
  ASSERT_EQ(stopped.status, 130) << stopped.output;
  EXPECT_NE(stopped.output.find("saved to " + path("parts/current.ckpt")), std::string::npos)
      << stopped.output;
  const auto steps_before = log("parts").size();
  ASSERT_LT(steps_before, 160U);
  const auto interrupted = read_page("parts/report.html");
  EXPECT_EQ(interrupted.at("title"), "SlotCon training interrupted");
  EXPECT_EQ(interrupted.at("lead").get<std::string>().rfind(
                std::to_string(steps_before) + " of 160 steps in ", 0),
            0U)
      << interrupted.at("lead");
  EXPECT_EQ(interrupted.at("tables").size(), 0U);

  const auto resumed = run_program(command + " --auto-resume");
  ASSERT_EQ(resumed.status, 0) << resumed.output;
  const auto whole = log("whole");
  const auto parts = log("parts");
  ASSERT_EQ(parts.size(), whole.size());
  EXPECT_EQ(read_page("parts/report.html").at("title"), "SlotCon training finished");
  EXPECT_EQ(read_page("parts/report.html").at("tables"),
            read_page("whole/report.html").at("tables"));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const auto* figure :
         {"step", "loss", "cross_entropy", "contrast", "teacher_entropy", "learning_rate"}) {
      EXPECT_EQ(parts[i].at(figure), whole[i].at(figure)) << figure << " at " << i;
    }
  }
}

TEST_F(Programs, ProcessesTrainAsOneAndGoOnExactly) {
  const std::string flags = " --epochs 8 --nproc 2";
  ASSERT_EQ(pretrain("one", " --epochs 8").status, 0);
  const auto whole = pretrain("whole", flags);
  ASSERT_EQ(whole.status, 0) << whole.output;
  for (const auto* line : {"16 images", "trained 32 steps", "Segmentation of 3 labelled images"}) {
    const auto first = whole.output.find(line);
    ASSERT_NE(first, std::string::npos) << whole.output;
    EXPECT_EQ(whole.output.find(line, first + 1), std::string::npos) << whole.output;
  }
  const auto alone = log("one"), together = log("whole");
  ASSERT_EQ(together.size(), alone.size());
  for (std::size_t i = 0; i < 8; ++i) {  // before rounding has grown
    for (const auto* figure : {"loss", "cross_entropy", "contrast"}) {
      EXPECT_NEAR(together[i].at(figure).get<double>(), alone[i].at(figure).get<double>(), 1e-3)
          << figure << " at " << i;
    }
  }

  const auto parts = pretrain_command("parts") + flags + " --eval-images " + path("images") +
                     " --eval-labels " + path("labels") + " --eval-classes 9";
  const auto stopped = run_program(when_lines_are_logged("parts", 7, parts, "kill -INT $pid"));
  ASSERT_EQ(stopped.status, 130) << stopped.output;
  EXPECT_EQ(stopped.output.find("pretrain: "), std::string::npos) << stopped.output;
  ASSERT_LT(log("parts").size(), 32U);
  const auto resumed = run_program(parts + " --auto-resume");
  ASSERT_EQ(resumed.status, 0) << resumed.output;
  const auto resumed_log = log("parts");
  ASSERT_EQ(resumed_log.size(), together.size());
  for (std::size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(resumed_log[i].at("loss"), together[i].at("loss")) << i;
  }
}

TEST_F(Programs, ProcessThatIsKilledEndsTheRun) {
  const auto command = pretrain_command("run") + " --epochs 1000 --nproc 2";
  const auto killed = run_program(when_lines_are_logged(
      "run", 3, command, "kill -9 $(cut -d ' ' -f 2 /proc/$pid/task/$pid/children)"));
  EXPECT_EQ(killed.status, 128 + 9) << killed.output;
  EXPECT_NE(killed.output.find("pretrain: process 0 of 2 lost the others in "), std::string::npos)
      << killed.output;
  EXPECT_NE(killed.output.find("pretrain: of 2 processes 1 ended by signal 9 (Killed)"),
            std::string::npos)
      << killed.output;
}

TEST_F(Programs, ResumeRefusesOtherSettingsAndListsThem) {
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  const auto result = pretrain("run", " --epochs 1 --auto-resume --dim-out 12 --min-scale 0.5");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(
      result.output,
      "pretrain: cannot go on from '" + path("run/current.ckpt") +
          "', other settings:\n  dim_out: 8 there, 12 now\n  min_scale: 0.08 there, 0.5 now\n");
}

TEST_F(Programs, PretrainOnAFolderSkipsBrokenFilesAndScoresLabels) {
  write_scenes(12);
  std::ofstream(path("images/broken.jpg")) << "\xFF\xD8\xFF and nothing more";
  const auto cut = fs::file_size(folder / "images" / "3.png") / 2;
  fs::copy_file(folder / "images" / "3.png", folder / "images" / "cut.png");
  fs::resize_file(folder / "images" / "cut.png", cut);
  fs::create_directories(folder / "good");
  for (int i = 0; i < 4; ++i) {
    fs::copy_file(folder / "images" / (std::to_string(i) + ".png"),
                  folder / "good" / (std::to_string(i) + ".png"));
  }
  const auto result =
      pretrain("run", " --epochs 2 --data " + path("images") + " --eval-images " + path("good"));
  ASSERT_EQ(result.status, 0) << result.output;
  for (const auto* name : {"broken.jpg", "cut.png"}) {
    const auto first = result.output.find(path(std::string("images/") + name));
    ASSERT_NE(first, std::string::npos) << result.output;
    EXPECT_EQ(result.output.find(path(std::string("images/") + name), first + 1),
              std::string::npos);
  }
  EXPECT_NE(result.output.find("Segmentation of 4 labelled images"), std::string::npos)
      << result.output;
}

TEST_F(Programs, SegmentAndVisualizeReadACheckpoint) {
  write_scenes(5);
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  const auto checkpoint =
      " --checkpoint " + path("run/current.ckpt") + " --images " + path("images");
  const auto segment = run_program(program("segment") + checkpoint + " --labels " + path("labels") +
                                   " --classes 9 --json " + path("scores.json") + " --report " +
                                   path("segment.html"));
  ASSERT_EQ(segment.status, 0) << segment.output;
  const auto scores = nlohmann::json::parse(std::ifstream(folder / "scores.json")).at("rows");
  EXPECT_EQ(scores.size(), 15U);
  EXPECT_NE(segment.output.find("IoU of each class"), std::string::npos);
  const auto page = read_page("segment.html");
  EXPECT_EQ(page.at("sections"), nlohmann::json({"slots", "prototypes", "scores", "options"}));
  expect_rows(page.at("tables").at(0), scores);
  EXPECT_EQ(page.at("facts").at("Images"), "5 of " + path("images"));
  EXPECT_EQ(page.at("facts")
                .at("Resolution")
                .get<std::string>()
                .rfind("whole images as they are, 48 x 48 pixels", 0),
            0U);
  EXPECT_EQ(page.at("facts").at("arch"), "tiny");

  const auto visualize = run_program(program("visualize") + checkpoint +
                                     " --slots 0 2 --top-k 3 --output-dir " + path("pictures"));
  ASSERT_EQ(visualize.status, 0) << visualize.output;
  const auto picture = slotcon::data::read_image(path("pictures/image_0004.png"));
  EXPECT_EQ(picture.width, 4 * 48 + 5 * 4);  // image, segmentation, two heat maps, gaps
  const auto sheet = slotcon::data::read_image(path("pictures/prototypes.png"));
  EXPECT_EQ(sheet.width, 3 * 48 + 4 * 4);
  EXPECT_EQ(sheet.height, 2 * 48 + 3 * 4);
  EXPECT_EQ(read_page("pictures/report.html").at("sections"),
            nlohmann::json({"slots", "prototypes", "options"}));
}

TEST_F(Programs, ConvertedWeightsSegmentAsTheCheckpointDoes) {
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  const auto checkpoint = path("run/current.ckpt");
  const auto convert = [&](const std::string& from, const std::string& to) {
    const auto result = run_program(program("convert") + " " + from + " " + to);
    EXPECT_EQ(result.status, 0) << result.output;
    EXPECT_EQ(result.output.rfind(from + ": SlotCon of tiny with 4 prototypes; ", 0), 0U)
        << result.output;
    EXPECT_NE(result.output.find("\n" + to + ": the whole model, named as in published "),
              std::string::npos)
        << result.output;
  };
  convert(checkpoint, path("a.pth"));
  convert(path("a.pth"), path("b.safetensors"));
  convert(path("b.safetensors"), path("c.pt"));
  const auto table = [&](const std::string& weights) {
    return run_program(program("segment") + " --checkpoint " + weights + " --images " +
                       path("images") + " --labels " + path("labels") + " --classes 9")
        .output;
  };
  const auto expected = table(checkpoint);
  EXPECT_NE(expected.find("IoU of each class"), std::string::npos) << expected;
  EXPECT_EQ(table(path("c.pt")), expected);
}

TEST_F(Programs, ConvertSaysWhatItCannotDo) {
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  const auto from = path("run/current.ckpt");
  const auto error = [&](const std::string& arguments) {
    const auto result = run_program(program("convert") + " " + arguments);
    EXPECT_EQ(result.status, 1) << result.output;
    return result.output;
  };
  EXPECT_EQ(error(from + " " + path("b.pth") + " --to detectron2"),
            "convert: expected a file .pkl for --to detectron2, got '" + path("b.pth") + "'\n");
  EXPECT_EQ(error(from + " " + path("b.ckpt")),
            "convert: expected a file .pt, .pth, .safetensors for --to slotcon, got '" +
                path("b.ckpt") + "'\n");
  EXPECT_EQ(error(from + " " + path("b.pth") + " --to torchvision"),
            "convert: expected a ResNet for --to torchvision, got the encoder tiny, which others "
            "do not have\n");
  const auto other = std::string(SLOTCON_TEST_DATA) + "/io/fixtures/types.pth";
  EXPECT_EQ(
      error(other + " " + path("b.pth")),
      "convert: '" + other +
          "' does not have the weights of SlotCon: there is no grouping_q.slot_embed.weight\n");
  std::ofstream(path("text.pth")) << "not a checkpoint";
  EXPECT_EQ(error(path("text.pth") + " " + path("b.pth")),
            "convert: read_weights: cannot read '" + path("text.pth") +
                "': it is neither a .pth nor a safetensors file\n");
  EXPECT_FALSE(fs::exists(path("b.pth")));
}

TEST_F(Programs, BadInputIsOneClearError) {
  write_scenes(1);
  fs::create_directories(folder / "empty");
  std::ofstream(path("text.ckpt")) << "not a checkpoint";
  const auto expect_error = [](const ProgramResult& result, const std::string& message) {
    EXPECT_EQ(result.status, 1) << result.output;
    EXPECT_NE(result.output.find(message), std::string::npos) << result.output;
    EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 1) << result.output;
  };
  expect_error(pretrain("run", " --data " + path("nowhere")), path("nowhere"));
  expect_error(pretrain("run", " --data " + path("empty")), path("empty"));
  fs::create_directories(folder / "one");
  fs::copy_file(folder / "images" / "0.png", folder / "one" / "0.png");
  expect_error(pretrain("run", " --data " + path("one")),
               "pretrain: TwoViewLoader: expected at least 4 images to fill a batch, got 1");
  expect_error(pretrain("run", " --resume " + path("text.ckpt")),
               "pretrain: load_checkpoint: '" + path("text.ckpt") +
                   "' is damaged or not a slotcon checkpoint");
  expect_error(run_program(pretrain_command("run") + " --eval-images " + path("images")),
               "pretrain: expected --eval-images and --eval-labels together");
  expect_error(pretrain("run", " --epochs 2 --warmup-epoch 3"),
               "pretrain: LearningRateSchedule: expected warmup_epochs in [0, 2], got 3");
  expect_error(run_program("WORLD_SIZE=3 RANK=0 MASTER_ADDR=127.0.0.1 MASTER_PORT=1 " +
                           pretrain_command("run") + " --nproc 2"),
               "pretrain: expected no --nproc, or 3 as WORLD_SIZE says, got 2");
  expect_error(
      run_program(program("segment") + " --checkpoint " + path("text.ckpt") +
                  " --classes 9 --images " + path("images") + " --labels " + path("labels")),
      "segment: load_checkpoint: '" + path("text.ckpt") + "' is damaged");
}

TEST_F(Programs, UnknownFlagsAndValuesAreRefusedWithAHint) {
  const auto unknown = run_program(program("pretrain") + " --num-prototype 3");
  EXPECT_NE(unknown.status, 0);
  EXPECT_NE(unknown.output.find("--num-prototype"), std::string::npos);
  EXPECT_NE(unknown.output.find("--help"), std::string::npos);
  const auto arch = run_program(program("pretrain") + " --arch resnet19");
  EXPECT_NE(arch.status, 0);
  EXPECT_NE(arch.output.find("resnet18"), std::string::npos) << arch.output;
}

TEST_F(Programs, RecipeIsReadTheCommandLineWinsAndTyposAreRefused) {
  std::ofstream(path("recipe.toml")) << "epochs = 1\nwarmup-epoch = 1\nbatch-size = 2\n";
  const auto result = pretrain("run", " --recipe " + path("recipe.toml"));
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(log("run").size(),
            4U);  // one epoch as the recipe says, of 16 / 4 steps as the flag says

  std::ofstream(path("typo.toml")) << "epoch = 1\n";
  const auto typo = run_program(pretrain_command("run") + " --recipe " + path("typo.toml"));
  EXPECT_NE(typo.status, 0);
  EXPECT_NE(typo.output.find("epoch"), std::string::npos) << typo.output;
  const auto missing = run_program(pretrain_command("run") + " --recipe " + path("none.toml"));
  EXPECT_NE(missing.status, 0);
  EXPECT_NE(missing.output.find(path("none.toml")), std::string::npos) << missing.output;
}

TEST_F(Programs, FreshRunStartsAFreshLog) {
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  EXPECT_EQ(log("run").size(), 4U);
}

TEST_F(Programs, SegmentScoresABenchmarkByItsProtocol) {
  write_scenes(6);
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  // PASCAL VOC's layout; files are told apart by their first bytes, not by their names.
  const auto voc = folder / "voc";
  for (const auto* name : {"ImageSets/Segmentation", "JPEGImages", "SegmentationClass"})
    std::filesystem::create_directories(voc / name);
  std::ofstream train(voc / "ImageSets/Segmentation/train.txt"),
      val(voc / "ImageSets/Segmentation/val.txt");
  int number = 0;
  for (const auto& image : slotcon::data::list_images(path("images"))) {
    const auto stem = std::filesystem::path(image).stem().string();
    std::filesystem::copy(image, voc / "JPEGImages" / (stem + ".jpg"));
    std::filesystem::copy(folder / "labels" / (stem + ".png"), voc / "SegmentationClass");
    (number++ < 4 ? train : val) << stem << "\n";
  }
  train.close();
  val.close();
  const auto start = program("segment") + " --checkpoint " + path("run/current.ckpt");
  const auto result = run_program(start + " --dataset pascal-voc --root " + path("voc") +
                                  " --resolution 40 --matching positions --seeds 2 "
                                  "--probe-split train --json " +
                                  path("voc.json") + " --report " + path("voc.html"));
  ASSERT_EQ(result.status, 0) << result.output;
  for (const auto* text :
       {"Images: 2 of PASCAL VOC, split val", "Classes: 21; label 255 is not scored",
        "Resolution: shorter side 40, middle square of 40 x 40", "number of matched positions",
        "means over 2 seeds from 0", "+-", "supervised by the labels of 4 images"}) {
    EXPECT_NE(result.output.find(text), std::string::npos) << text << "\n" << result.output;
  }
  const auto json = nlohmann::json::parse(std::ifstream(folder / "voc.json"));
  EXPECT_EQ(json.at("classes").at(15), "person");
  EXPECT_EQ(json.at("protocol").at("Images"), "2 of PASCAL VOC, split val");
  EXPECT_EQ(json.at("linear_probe").at("images"), 4);
  const auto page = read_page("voc.html");
  EXPECT_EQ(page.at("facts").at("Images"), "2 of PASCAL VOC, split val");
  EXPECT_EQ(page.at("tables").at(1).at(1).at(0), "background");
  EXPECT_NE(page.at("tables").at(0).dump().find("\u00b1"), std::string::npos);
  for (const auto& row : json.at("rows"))
    EXPECT_EQ(row.at("seeds"),
              row.at("method").get<std::string>().find("slots") == std::string::npos ? 2 : 1)
        << row;
}

TEST_F(Programs, SegmentSaysWhatASetNeeds) {
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  const auto error = [&](const std::string& flags) {
    const auto result =
        run_program(program("segment") + " --checkpoint " + path("run/current.ckpt") + flags);
    EXPECT_EQ(result.status, 1) << result.output;
    return result.output;
  };
  EXPECT_EQ(error(" --images x --labels y"),
            "segment: --dataset folders needs --images, --labels and --classes\n");
  EXPECT_EQ(error(" --dataset cityscapes-27"), "segment: --dataset cityscapes-27 needs --root\n");
  EXPECT_EQ(error(" --dataset pascal-voc --root x --list y"),
            "segment: --dataset pascal-voc needs no --list\n");
}

TEST_F(Programs, ProbeTellsRedFromBlue) {
  ASSERT_EQ(pretrain("run", " --epochs 1").status, 0);
  for (const auto* set : {"train", "test"}) {
    for (const int channel : {0, 2}) {
      const auto of_class = folder / set / (channel == 0 ? "red" : "blue");
      std::filesystem::create_directories(of_class);
      for (int i = 0; i < 5; ++i) {
        slotcon::data::Image image(40 + i, 50);
        for (std::size_t p = static_cast<std::size_t>(channel); p < image.pixels.size(); p += 3) {
          image.pixels[p] = static_cast<std::uint8_t>(150 + (p * (std::size_t(i) + 7)) % 100);
        }
        slotcon::data::write_png((of_class / (std::to_string(i) + ".png")).string(), image);
      }
    }
  }
  const auto start = program("probe") + " --checkpoint " + path("run/current.ckpt") + " --train " +
                     path("train") + " --test ";
  const auto result = run_program(start + path("test") + " --resolution 32 --neighbours 3 --json " +
                                  path("p.json"));
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("10 images to learn from, 10 to score, 2 classes; middle squares of "
                               "32 pixels"),
            std::string::npos)
      << result.output;
  const auto json = nlohmann::json::parse(std::ifstream(folder / "p.json"));
  EXPECT_EQ(json.at("classes"), nlohmann::json({"blue", "red"}));
  for (const auto& [name, figure] : json.at("trained").items()) EXPECT_EQ(figure, 1.0) << name;

  std::filesystem::rename(folder / "test" / "red", folder / "test" / "green");
  const auto wrong = run_program(start + path("test"));
  EXPECT_EQ(wrong.status, 1);
  EXPECT_EQ(wrong.output, "probe: expected the same classes in '" + path("train") + "' and '" +
                              path("test") + "'\n");
}

TEST_F(Programs, SinkhornTrainsAndIsReadBack) {
  const auto result = pretrain("run", " --epochs 2 --assignment sinkhorn");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_LT(log("run").back().at("loss").get<double>(),
            log("run").front().at("loss").get<double>());
  const auto segment =
      run_program(program("segment") + " --checkpoint " + path("run/current.ckpt") + " --images " +
                  path("images") + " --labels " + path("labels") + " --classes 9");
  EXPECT_EQ(segment.status, 0) << segment.output;
}

TEST_F(Programs, ExistingTrainerLearns) {
  const auto result = run_program("OMP_NUM_THREADS=1 " + program("existing_trainer"));
  ASSERT_EQ(result.status, 0) << result.output;
  const auto loss_after = [&](const std::string& step) {
    const auto at = result.output.find(step);
    return std::stod(result.output.substr(result.output.find("loss ", at) + 5));
  };
  EXPECT_LT(loss_after("step 59"), loss_after("step  0") - 0.2) << result.output;
}

}  // namespace
