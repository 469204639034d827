// A page of HTML in one file: a head with key figures and warnings, and sections.
#pragma once

#include <slotcon/core/durable_file.h>
#include <slotcon/version.h>
#include <slotcon/view/chart_style.h>
#include <slotcon/view/html.h>

#include <filesystem>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "support/report/page_style.h"

namespace examples {

/// Names with what they stand for, in the order in which they are shown.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// A number that the page begins with.
struct KeyFigure {
  std::string name, value, note;
};

struct PageWarning {
  std::string title, text;
};

struct PageSection {
  std::string id;     ///< a word, one of its own on the page
  std::string title;  ///< text
  std::string html;
};

/// What a page says. Everything is text, to be escaped, but the HTML of the sections.
struct Page {
  std::string title;
  std::string status;  ///< a word beside the title; may be empty
  std::string lead;    ///< a sentence or two below it
  std::vector<PageWarning> warnings;
  std::vector<KeyFigure> figures;
  std::vector<PageSection> sections;
};

/// Facts as a list of terms.
inline std::string list_of(const Facts& facts, const std::string& classes = "") {
  auto html = "<dl class=\"facts " + classes + "\">\n";
  for (const auto& [name, value] : facts) {
    html += "<div><dt>" + slotcon::view::escape_html(name) + "</dt><dd>" +
            slotcon::view::escape_html(value) + "</dd></div>\n";
  }
  return html + "</dl>\n";
}

inline std::string paragraph(const std::string& text, const std::string& classes = "") {
  const auto attribute = classes.empty() ? "" : " class=\"" + classes + "\"";
  return "<p" + attribute + ">" + slotcon::view::escape_html(text) + "</p>\n";
}

/// What may be wider than a phone, in a box of its own that scrolls.
inline std::string scrolling(const std::string& html, const std::string& label) {
  return "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"" +
         slotcon::view::escape_html(label) + "\">" + html + "</div>\n";
}

namespace detail {

inline std::string head_of(const Page& page) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
         "<link rel=\"icon\" href=\"data:,\"/>\n<title>" +
         slotcon::view::escape_html(page.title) + "</title>\n<style>\n" +
         slotcon::view::chart_style() + page_style() + "</style>\n</head>\n";
}

inline std::string warnings_of(const Page& page) {
  std::string html;
  for (const auto& warning : page.warnings) {
    html += "<aside class=\"warning\" role=\"note\"><strong>" +
            slotcon::view::escape_html(warning.title) + "</strong> " +
            slotcon::view::escape_html(warning.text) + "</aside>\n";
  }
  return html;
}

inline std::string key_figures_of(const Page& page) {
  if (page.figures.empty()) return "";
  std::string html = "<dl class=\"key-figures\">\n";
  for (const auto& figure : page.figures) {
    html += "<div><dt>" + slotcon::view::escape_html(figure.name) + "</dt><dd>" +
            slotcon::view::escape_html(figure.value) + " <small>" +
            slotcon::view::escape_html(figure.note) + "</small></dd></div>\n";
  }
  return html + "</dl>\n";
}

inline std::string navigation_of(const Page& page) {
  std::string html = "<nav aria-label=\"Sections\"><ul>\n";
  for (const auto& section : page.sections) {
    html += "<li><a href=\"#" + section.id + "\">" + slotcon::view::escape_html(section.title) +
            "</a></li>\n";
  }
  return html + "</ul></nav>\n";
}

}  // namespace detail

/// The page as HTML that is well-formed XML too, without scripts and without any other file.
inline std::string html_of(const Page& page) {
  auto html =
      detail::head_of(page) + "<body>\n<header>\n<h1>" + slotcon::view::escape_html(page.title);
  if (!page.status.empty()) {
    html += " <span class=\"status\">" + slotcon::view::escape_html(page.status) + "</span>";
  }
  html += "</h1>\n" + paragraph(page.lead, "lead") + "</header>\n" + detail::navigation_of(page) +
          "<main>\n" + detail::warnings_of(page) + detail::key_figures_of(page);
  for (const auto& section : page.sections) {
    html += "<section id=\"" + section.id + "\" aria-labelledby=\"" + section.id +
            "-title\">\n<h2 id=\"" + section.id + "-title\">" +
            slotcon::view::escape_html(section.title) + "</h2>\n" + section.html + "</section>\n";
  }
  return html + "</main>\n<footer>slotcon " + std::string(slotcon::kVersion) +
         "</footer>\n</body>\n</html>\n";
}

/// Replaces a file by the page; a browser never finds half of one. Throws std::runtime_error,
/// naming the file, where it cannot.
inline void write_page(const std::filesystem::path& file, const Page& page) {
  slotcon::write_durably("report", file, [&](std::ostream& out) { out << html_of(page); });
}

}  // namespace examples
