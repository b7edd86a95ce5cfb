// gyre-membership: failure detection among many nodes, on virtual time, with what is promised of it
// judged at the end.
//
//   gyre-membership --nodes 1000 --minutes 60
//
// Loss of messages and pauses of nodes go on for the whole time; in its last minute one node is
// killed. Exit code 0 if no node that lives was taken for dead, and 99 % of the others suspected
// the dead one within ten seconds. Ends with one line:
//
//   gyre-membership: nodes=N minutes=M suspected_ms=T false_dead=0 suspicions=S pauses=P
//       messages_per_node_s=X bytes_per_node_s=Y digest=D

#include <CLI/CLI.hpp>
#include <cinttypes>
#include <cstdio>

#include "test/sim/membership_world.h"

int main(int argc, char** argv) {
  gyre::MembershipWorld::Options options;
  options.network.loss_per_mille = 50;
  options.paused_per_mille = 10;
  options.nodes = 1000;
  int minutes = 60;
  CLI::App app("Failure detection among many nodes, on virtual time.");
  app.add_option("--nodes", options.nodes, "nodes, 3 to 10,000")->check(CLI::Range(3, 10'000));
  app.add_option("--minutes", minutes, "virtual time, 2 to 1,440")->check(CLI::Range(2, 1440));
  app.add_option("--seed", options.seed, "which history");
  app.add_option("--loss", options.network.loss_per_mille, "messages lost, per mille")
      ->check(CLI::Range(0, 1000));
  app.add_option("--paused", options.paused_per_mille, "nodes that stand still, per mille")
      ->check(CLI::Range(0, 1000));
  CLI11_PARSE(app, argc, argv);

  gyre::MembershipWorld world(options);
  world.RunFor(gyre::Duration::Seconds(60 * (minutes - 1)));
  const gyre::MembershipWorld::Figures figures = world.figures();
  const double seconds = 60.0 * (minutes - 1);
  const gyre::Time killed = world.now();
  world.Kill(0);
  const int wanted = (world.live() * 99 + 99) / 100;
  const bool suspected = world.RunUntil(gyre::Duration::Seconds(60), [&] {
    return world.live() - world.Count(0, gyre::Liveness::kAlive) >= wanted;
  });
  const int64_t suspected_ms = (world.now() - killed).millis();
  world.RunFor(gyre::Duration::Seconds(60) - (world.now() - killed));
  const uint64_t false_dead = world.figures().false_dead;
  const double node_seconds = seconds * options.nodes;
  std::printf("gyre-membership: nodes=%d minutes=%d suspected_ms=%" PRId64 " false_dead=%" PRIu64
              " suspicions=%" PRIu64 " pauses=%" PRIu64
              " messages_per_node_s=%.2f bytes_per_node_s=%.0f digest=%016" PRIx64 "\n",
              options.nodes, minutes, suspected_ms, false_dead, figures.suspicions, figures.pauses,
              static_cast<double>(figures.messages) / node_seconds,
              static_cast<double>(figures.bytes) / node_seconds, world.digest());
  return suspected && suspected_ms <= 10'000 && false_dead == 0 ? 0 : 1;
}
