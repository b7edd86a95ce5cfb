// gyre-scale: many nodes join, leave and die at once, on virtual time: what the topology document
// costs them, and whether all that moves moves as it should.
//
//   gyre-scale --nodes 1000 --slices 65536
//
// Exit code 0 if nothing was left to move in the end, no quorum could have missed a write at any
// time, moves are within 1.05 of the fewest, and no partition has two owners in one zone. How far
// the most loaded node is over the mean is a figure: zones of unequal size make it more than 5 %.
// Ends with one line:
//
//   gyre-scale: nodes=N joins=J leaves=L deaths=D slices=Q plan_ms=T look_ms=T virtual_s=S epochs=E
//       bytes_per_node_per_change=B news_bytes_per_node_per_change=W most_bytes_per_change=M
//       document_bytes=D moves=V min_moves=F ratio=R spread=P zones_shared=0 in_force=I
//       missed_quorums=0 digest=D

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "test/sim/scale_world.h"

int main(int argc, char** argv) {
  gyre::ScaleWorld::Options options;
  int fill_ms = 2000;
  int minutes = 60;
  CLI::App app("Many nodes join, leave and die at once, on virtual time.");
  app.add_option("--nodes", options.nodes, "nodes at first, 4 to 3,000")
      ->check(CLI::Range(4, 3000));
  app.add_option("--slices", options.slices, "partitions of each family, a power of two")
      ->check(CLI::Range(1, 65536));
  auto* const joins = app.add_option("--joins", options.joins, "default a tenth of the nodes");
  auto* const leaves = app.add_option("--leaves", options.leaves, "default a twentieth");
  auto* const deaths = app.add_option("--deaths", options.deaths, "default a hundredth");
  app.add_option("--zones", options.zones, "zones")->check(CLI::Range(1, 100));
  app.add_option("--fill-ms", fill_ms, "that one copy takes; a node makes two at a time")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--most-to", options.movement.limits.most_to, "moves at once to one node")
      ->check(CLI::Range(1, 65536));
  app.add_option("--minutes", minutes, "the most, of virtual time")->check(CLI::Range(1, 1440));
  app.add_option("--loss", options.loss_per_mille, "messages lost, per mille")
      ->check(CLI::Range(0, 1000));
  app.add_option("--seed", options.seed, "which history");
  CLI11_PARSE(app, argc, argv);
  if (joins->count() == 0) options.joins = std::max(1, options.nodes / 10);
  if (leaves->count() == 0) options.leaves = std::max(1, options.nodes / 20);
  if (deaths->count() == 0) options.deaths = std::max(1, options.nodes / 100);
  options.fill = gyre::Duration::Millis(fill_ms);

  gyre::ScaleWorld world(options);
  world.Run(gyre::Duration::Seconds(60 * minutes));
  const gyre::ScaleWorld::Figures& figures = world.figures();
  for (size_t i = 0; i < std::min<size_t>(world.faults().size(), 20); ++i) {
    std::fprintf(stderr, "%s\n", world.faults()[i].c_str());
  }
  if (!figures.settled) std::fprintf(stderr, "not all is where it should be\n");
  const double changes = static_cast<double>(std::max<uint64_t>(1, figures.epochs));
  const double news = static_cast<double>(figures.news_bytes) / options.nodes / changes;
  const double all = news + static_cast<double>(figures.register_bytes) / options.nodes / changes;
  const double ratio = static_cast<double>(figures.moves) /
                       static_cast<double>(std::max<uint64_t>(1, figures.min_moves));
  std::printf(
      "gyre-scale: nodes=%d joins=%d leaves=%d deaths=%d slices=%u plan_ms=%.0f look_ms=%.1f "
      "virtual_s=%.0f epochs=%" PRIu64
      " bytes_per_node_per_change=%.0f "
      "news_bytes_per_node_per_change=%.0f most_bytes_per_change=%.0f "
      "document_bytes=%" PRIu64 " moves=%" PRIu64 " min_moves=%" PRIu64
      " ratio=%.3f spread=%.1f zones_shared=%" PRIu64 " in_force=%" PRIu64
      " missed_quorums=%" PRIu64 " digest=%016" PRIx64 "\n",
      options.nodes, options.joins, options.leaves, options.deaths, options.slices, figures.plan_ms,
      figures.look_ms, static_cast<double>(world.now().micros()) / 1e6, figures.epochs, all, news,
      static_cast<double>(figures.most_bytes) / changes, figures.document_bytes, figures.moves,
      figures.min_moves, ratio, figures.spread_percent, figures.zones_shared, figures.most_in_force,
      figures.missed_quorums, world.digest());
  const bool sound = figures.settled && world.faults().empty() && figures.missed_quorums == 0 &&
                     figures.zones_shared == 0 && ratio <= 1.05;
  return sound ? 0 : 1;
}
