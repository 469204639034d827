// The page about a run, out of logs and names of any kind.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "support/report/reports.h"
#include "tests/examples/programs.h"

namespace {

namespace fs = std::filesystem;

class Report : public Programs {
 protected:
  void write_log(const std::string& text) const {
    std::ofstream(folder / "log.jsonl", std::ios::binary) << text;
  }

  examples::TrainingHistory history() const {
    return examples::read_training_history(folder / "log.jsonl");
  }

  examples::PretrainOptions options() const {
    examples::PretrainOptions options;
    options.run.output_dir = folder.string();
    options.model.num_prototypes = 16;
    return options;
  }

  nlohmann::json write(const examples::PretrainOptions& run,
                       const examples::Findings& findings = {}) const {
    examples::write_report(run, {"running", 5, 10, 3, 61}, findings);
    return read_page("report.html");
  }
};

const std::string kHostile = "</style><script>alert('1')</script>&\"\xFF\x01<img src=x>";
const std::string kShown =
    "</style><script>alert('1')</script>&\"\xEF\xBF\xBD\xEF\xBF\xBD<img src=x>";

TEST_F(Report, HistoryHasWhatWasLogged) {
  write_log(
      "{\"step\": 0, \"loss\": 3.5, \"note\": \"text\"}\n"
      "{\"step\": 10, \"loss\": null, \"late\": 2}\n"
      "{\"step\": 10, \"warning\": \"uniform\", \"advice\": \"do something\"}\n"
      "not JSON\n[1]\n{\"loss\": 7}\n{\"step\": \"x\"}\n"
      "{\"step\": 5, \"loss\": 9}\n"
      "{\"step\": 20, \"loss\": 2}\n"
      "{\"step\": 30, \"lo");
  const auto read = history();
  EXPECT_EQ(read.steps, (std::vector<double>{0, 10, 20}));
  ASSERT_EQ(read.figures.size(), 2U);
  const auto& loss = read.figures.at("loss");
  EXPECT_EQ(loss[0], 3.5);
  EXPECT_TRUE(std::isnan(loss[1]));
  EXPECT_EQ(loss[2], 2);
  const auto& late = read.figures.at("late");
  ASSERT_EQ(late.size(), 3U);
  EXPECT_TRUE(std::isnan(late[0]) && std::isnan(late[2]));
  EXPECT_EQ(late[1], 2);
  ASSERT_EQ(read.warnings.size(), 1U);
  EXPECT_EQ(read.warnings[0].step, 10);
  EXPECT_EQ(read.warnings[0].name, "uniform");
  EXPECT_EQ(read.warnings[0].advice, "do something");
}

TEST_F(Report, RunWithoutALogHasAPage) {
  const auto page = write(options());
  EXPECT_EQ(page.at("title"), "SlotCon training running");
  EXPECT_EQ(page.at("lead"),
            "5 of 10 steps in 1m01s, on 3 images of scenes: resnet50 encoder, 16 prototypes, "
            "batches of 512.");
  EXPECT_EQ(page.at("charts").size(), 0U);
  EXPECT_EQ(page.at("facts").at("base-lr"), "1.0");
}

TEST_F(Report, NamesAreShownAndDoNothing) {
  write_log("{\"step\": 0, \"warning\": \"<script>x</script>\", \"advice\": \"a & b\"}\n");
  auto run = options();
  run.training.data = kHostile;
  run.run.eval_images = kHostile;
  examples::ReportedScores scores;
  scores.rows = {{"trained: " + kHostile, 2, {0.5, 0.5, {0.5, std::nan("")}, {}}, {}}};
  scores.protocol = {{kHostile, kHostile}};
  scores.classes = {kHostile};
  examples::SlotPictures pictures{
      kHostile, {kHostile}, {slotcon::data::Image(4, 4)}, {torch::rand({2, 2, 2})}};
  const auto page = write(run, {scores, pictures});
  EXPECT_NE(page.at("lead").get<std::string>().find(kShown), std::string::npos);
  EXPECT_EQ(page.at("facts").at(kShown), kShown);
  EXPECT_EQ(page.at("facts").at("eval-images"), kShown);
  EXPECT_EQ(page.at("tables").at(0).at(2).at(0), "trained: " + kShown);
  EXPECT_EQ(page.at("tables").at(1).at(1).at(0), kShown);
  EXPECT_EQ(page.at("tables").at(1).at(2), nlohmann::json({"1", "-"}));  // no name, no score
  EXPECT_EQ(page.at("pictures").at(0), kShown);
  EXPECT_EQ(page.at("warnings").at(0), "Warning: <script>x</script> collapse by step 0: a & b.");
}

TEST_F(Report, ShowsWhatOnlySomeRunsMoveWhereThisOneDid) {
  const auto charts_of = [&](double skipped, double scale) {
    nlohmann::json line{{"step", 0}, {"seconds", 1}};
    line["skipped_steps"] = skipped;
    line["loss_scale"] = scale;
    write_log(line.dump() + "\n");
    return write(options()).at("charts");
  };
  EXPECT_EQ(charts_of(0, 1).size(), 0U);
  const auto all = charts_of(2, 1024);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0], "Skipped steps over the steps: last 2, lowest 2, highest 2");
  EXPECT_EQ(all[1], "Loss scale over the steps: last 1,024, lowest 1,024, highest 1,024");
}

TEST_F(Report, LongLogMakesASmallPageWithItsPeaks) {
  std::string text;
  for (int step = 0; step < 20000; ++step) {
    const double loss = step == 12345 ? 77 : 2 + step % 7 * 0.1;
    nlohmann::json line{{"step", step}, {"seconds", step}};
    for (const auto* figure : {"loss", "cross_entropy", "contrast", "gradient_norm"}) {
      line[figure] = loss;
    }
    text += line.dump() + "\n";
  }
  write_log(text);
  const auto page = write(options());
  EXPECT_LT(fs::file_size(folder / "report.html"), 200000U);
  ASSERT_EQ(page.at("charts").size(), 4U);
  EXPECT_EQ(page.at("charts").at(0), "Loss over the steps: last 2, lowest 2, highest 77");
  EXPECT_NE(page.at("text").get<std::string>().find("their mean over 801 logged steps"),
            std::string::npos);
  EXPECT_NE(page.at("text").get<std::string>().find("ln 16 = 2.77"), std::string::npos);
}

TEST_F(Report, DiagnosticsMeanWhatTheDocumentationSays) {
  std::ifstream docs(fs::path(SLOTCON_TEST_DATA) / ".." / "docs" / "diagnostics.md");
  std::vector<std::string> rows;
  for (std::string line; std::getline(docs, line);) rows.push_back(line);
  const std::regex healthy("Healthy: ([^.]+)\\.");
  for (const auto& curve : examples::diagnostic_curves(16)) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const std::string& line) {
      return line.rfind("| `" + curve.figure + "()`", 0) == 0;
    });
    ASSERT_NE(row, rows.end()) << curve.figure;
    std::smatch match;
    ASSERT_TRUE(std::regex_search(curve.meaning, match, healthy)) << curve.meaning;
    EXPECT_NE(row->find("| " + match[1].str() + " |"), std::string::npos) << *row;
  }
}

TEST_F(Report, BestScoresAreThoseOfEachNumberOfClusters) {
  const auto score = [](double iou) { return slotcon::eval::SegmentationScore{iou, 0.5, {}, {}}; };
  const auto html = examples::table_of_scores({{"a", 2, score(0.3), score(0.1)},
                                               {"b", 2, score(0.2), score(std::nan(""))},
                                               {"c", 1, score(0.9), score(0.9)}});
  const auto count = [&](const std::string& part) {
    std::size_t found = 0;
    for (auto at = html.find(part); at != std::string::npos; at = html.find(part, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("share best"), 2U) << html;
  EXPECT_EQ(count("<td class=\"share best\" style=\"--share:0.300\">0.300</td>"), 1U) << html;
  EXPECT_EQ(count("<td class=\"share best\" style=\"--share:0.100\">0.100</td>"), 1U) << html;
  EXPECT_EQ(count("<td>-</td>"), 1U) << html;
}

}  // namespace
