#include "api/cli/ring_drawing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace gyre {
namespace {

constexpr double kBandWidth = 3.0;  // in points
constexpr double kHole = 9.0;       // radius of the middle, which holds the caption
constexpr int kLegendColumns = 58;  // what the legend needs to stand beside the ring
constexpr int kBarCells = 12;

// Of the 256 that terminals share, told apart on dark and on light; then they repeat.
constexpr std::array<int, 14> kColours = {39,  208, 42,  170, 220, 75,  167,
                                          108, 141, 180, 31,  203, 148, 103};
constexpr std::string_view kLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

int ColourOf(uint32_t node) { return kColours[node % kColours.size()]; }
char LetterOf(uint32_t node) { return kLetters[node % kLetters.size()]; }

std::string Coloured(uint32_t node, std::string_view text) {
  return absl::StrFormat("\x1b[38;5;%dm%s\x1b[0m", ColourOf(node), std::string(text));
}

// The circle as a square of points; every point is of the node that owns there, or of none.
class Circle {
 public:
  Circle(uint32_t slices, const v1::PartitionFamily& family)
      : slices_(slices),
        family_(family),
        radius_(kHole + kBandWidth * family.per_slice()),
        size_(static_cast<int>(std::ceil(radius_)) * 2) {}

  int size() const { return size_; }
  double radius() const { return radius_; }

  std::optional<uint32_t> NodeAt(double x, double y) const {
    const double dx = x - size_ / 2.0;
    const double dy = y - size_ / 2.0;
    const double from_rim = radius_ - std::hypot(dx, dy);
    if (from_rim < 0) return std::nullopt;
    const auto rank = static_cast<uint32_t>(from_rim / kBandWidth);
    if (rank >= family_.per_slice()) return std::nullopt;
    // Clockwise from the top.
    double turn = std::atan2(dx, -dy) / (2 * std::numbers::pi);
    if (turn < 0) turn += 1;
    const uint32_t slice = std::min(static_cast<uint32_t>(turn * slices_), slices_ - 1);
    return family_.owners(static_cast<int>(slice * family_.per_slice() + rank));
  }

 private:
  const uint32_t slices_;
  const v1::PartitionFamily& family_;
  const double radius_;
  const int size_;
};

// A character cell shows two points, one above the other, each in its colour.
std::string ColouredCell(std::optional<uint32_t> upper, std::optional<uint32_t> lower) {
  if (!upper && !lower) return " ";
  if (!lower) return Coloured(*upper, "▀");
  if (!upper) return Coloured(*lower, "▄");
  if (*upper == *lower) return Coloured(*upper, "█");
  return absl::StrFormat("\x1b[38;5;%d;48;5;%dm▀\x1b[0m", ColourOf(*upper), ColourOf(*lower));
}

std::vector<std::string> Caption(const v1::GetTopologyReply& topology,
                                 const v1::PartitionFamily& family) {
  std::string name = topology.cluster_name();
  constexpr size_t kRoom = static_cast<size_t>(kHole) * 2 - 4;
  if (name.size() > kRoom) name = name.substr(0, kRoom);
  return {name, absl::StrCat(topology.slices(), " slices"), absl::StrCat("N=", family.replicas()),
          absl::StrCat("epoch ", topology.epoch())};
}

std::vector<std::string> RingLines(const v1::GetTopologyReply& topology,
                                   const v1::PartitionFamily& family, const Terminal& terminal) {
  const Circle circle(topology.slices(), family);
  const bool blocks = terminal.colour && terminal.unicode;
  const int rows = circle.size() / 2;
  const std::vector<std::string> caption = Caption(topology, family);
  const int first_row = (rows - static_cast<int>(caption.size())) / 2;
  std::vector<std::string> lines;
  for (int row = 0; row < rows; ++row) {
    const int at = row - first_row;
    const bool has_text = at >= 0 && at < static_cast<int>(caption.size());
    const std::string text = has_text ? caption[static_cast<size_t>(at)] : "";
    const int text_from = (circle.size() - static_cast<int>(text.size())) / 2;
    std::string line;
    for (int column = 0; column < circle.size(); ++column) {
      const int letter = column - text_from;
      if (letter >= 0 && letter < static_cast<int>(text.size())) {
        line += text[static_cast<size_t>(letter)];
      } else if (blocks) {
        line += ColouredCell(circle.NodeAt(column + 0.5, row * 2 + 0.5),
                             circle.NodeAt(column + 0.5, row * 2 + 1.5));
      } else {
        const std::optional<uint32_t> node = circle.NodeAt(column + 0.5, row * 2 + 1);
        const std::string cell(1, node ? LetterOf(*node) : ' ');
        line += node && terminal.colour ? Coloured(*node, cell) : cell;
      }
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string Bar(double share, double largest, const Terminal& terminal) {
  const double cells = largest > 0 ? share / largest * kBarCells : 0;
  std::string bar;
  for (int i = 0; i < static_cast<int>(std::lround(cells)); ++i) {
    bar += terminal.colour && terminal.unicode ? "█" : "#";
  }
  return bar;
}

std::vector<std::string> LegendLines(const v1::GetTopologyReply& topology,
                                     const v1::PartitionFamily& family, const Terminal& terminal) {
  const std::vector<NodeShare> shares = SharesOf(topology, family);
  double largest = 0;
  for (const NodeShare& share : shares) largest = std::max(largest, share.share);
  size_t name_width = 4;
  size_t zone_width = 4;
  for (const v1::TopologyMember& member : topology.members()) {
    name_width = std::max(name_width, member.name().size());
    zone_width = std::max(zone_width, member.zone().size());
  }
  const auto pad = [](std::string text, size_t width) {
    text.resize(std::max(width, text.size()), ' ');
    return text;
  };
  std::vector<std::string> lines = {absl::StrCat(
      "   ", pad("node", name_width), "  ", pad("zone", zone_width), "  first  copies   share")};
  for (int i = 0; i < topology.members_size(); ++i) {
    const v1::TopologyMember& member = topology.members(i);
    const NodeShare& share = shares[static_cast<size_t>(i)];
    const auto node = static_cast<uint32_t>(i);
    const bool blocks = terminal.colour && terminal.unicode;
    const std::string mark = blocks ? "██" : std::string(2, LetterOf(node));
    const std::string bar = Bar(share.share, largest, terminal);
    lines.push_back(absl::StrFormat(
        "%s %s  %s  %5d  %6d  %4.1f %%  %s", terminal.colour ? Coloured(node, mark) : mark,
        pad(member.name(), name_width), pad(member.zone(), zone_width), share.first, share.copies,
        share.share * 100, terminal.colour ? Coloured(node, bar) : bar));
  }
  lines.emplace_back();
  lines.push_back(family.per_slice() > 1 ? "   bands, from the rim: first owner, second, ..."
                                         : "   one band: each slice has one owner");
  return lines;
}

}  // namespace

std::vector<NodeShare> SharesOf(const v1::GetTopologyReply& topology,
                                const v1::PartitionFamily& family) {
  std::vector<NodeShare> shares(static_cast<size_t>(topology.members_size()));
  for (int i = 0; i < family.owners_size(); ++i) {
    NodeShare& share = shares[family.owners(i)];
    if (static_cast<uint32_t>(i) % family.per_slice() == 0) ++share.first;
    ++share.copies;
  }
  for (NodeShare& share : shares) {
    share.share = static_cast<double>(share.copies) / std::max(family.owners_size(), 1);
  }
  return shares;
}

absl::StatusOr<v1::PartitionFamily> FamilyOf(const v1::GetTopologyReply& topology,
                                             uint32_t replicas) {
  const v1::PartitionFamily* chosen = nullptr;
  std::vector<std::string> known;
  for (const v1::PartitionFamily& family : topology.families()) {
    known.push_back(absl::StrCat(family.replicas()));
    const bool is_larger = chosen == nullptr || family.replicas() > chosen->replicas();
    if (replicas == 0 ? is_larger : family.replicas() == replicas) chosen = &family;
  }
  if (chosen == nullptr) {
    return absl::NotFoundError(known.empty()
                                   ? "no table yet, so no slice has an owner"
                                   : absl::StrCat("no table has N=", replicas,
                                                  "; there is N=", absl::StrJoin(known, ", N=")));
  }
  const uint64_t expected = uint64_t{topology.slices()} * chosen->per_slice();
  bool holds = chosen->per_slice() > 0 && topology.slices() > 0 &&
               static_cast<uint64_t>(chosen->owners_size()) == expected;
  for (uint32_t owner : chosen->owners()) {
    holds = holds && owner < static_cast<uint32_t>(topology.members_size());
  }
  if (!holds) return absl::InternalError("the topology does not hold together");
  return *chosen;
}

std::string DrawRing(const v1::GetTopologyReply& topology, const v1::PartitionFamily& family,
                     const Terminal& terminal) {
  const std::vector<std::string> ring = RingLines(topology, family, terminal);
  const std::vector<std::string> legend = LegendLines(topology, family, terminal);
  const int ring_columns = Circle(topology.slices(), family).size();
  std::string picture;
  if (terminal.columns >= ring_columns + 4 + kLegendColumns) {
    const size_t lines = std::max(ring.size(), legend.size());
    const size_t legend_from = legend.size() < ring.size() ? (ring.size() - legend.size()) / 2 : 0;
    for (size_t i = 0; i < lines; ++i) {
      const bool has_legend = i >= legend_from && i - legend_from < legend.size();
      const std::string left =
          i < ring.size() ? ring[i] : std::string(static_cast<size_t>(ring_columns), ' ');
      absl::StrAppend(&picture, "  ", left, has_legend ? "    " + legend[i - legend_from] : "",
                      "\n");
    }
    return picture;
  }
  for (const std::string& line : ring) absl::StrAppend(&picture, "  ", line, "\n");
  picture += "\n";
  for (const std::string& line : legend) {
    absl::StrAppend(&picture, line.empty() ? "" : "  ", line, "\n");
  }
  return picture;
}

}  // namespace gyre
