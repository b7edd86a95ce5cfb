#include "test/bench/bench_options.h"

#include <sstream>

#include "gtest/gtest.h"
#include "test/bench/mix.h"

namespace gyre {
namespace {

struct Parsed {
  BenchOptionsOutcome outcome;
  std::string out;
  std::string err;
};

Parsed Parse(std::vector<std::string> words) {
  std::ostringstream out, err;
  BenchOptionsOutcome outcome = ParseBenchOptions(std::move(words), &out, &err);
  return {std::move(outcome), out.str(), err.str()};
}

TEST(BenchOptions, TakesTheWholeCommandLine) {
  const Parsed parsed = Parse({"--connect",   "a:1,b:2",    "--workload",    "b",
                               "--keys",      "uniform",    "--rate",        "11574",
                               "--seconds",   "60",         "--exclude",     "29",
                               "31",          "--pids",     "n1=10,n2=20",   "--folders",
                               "n1=/data/n1", "--periodic", "--value-bytes", "100"});
  ASSERT_TRUE(parsed.outcome.run.has_value()) << parsed.err;
  const BenchOptions& options = *parsed.outcome.run;
  EXPECT_EQ(options.connect, (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ(options.keys, KeyLaw::kUniform);
  EXPECT_EQ(options.rate_per_s, 11574);
  EXPECT_EQ(options.exclude_s, (std::vector<double>{29, 31}));
  ASSERT_EQ(options.processes.size(), 2u);
  EXPECT_EQ(options.processes[1].name, "n2");
  EXPECT_EQ(options.processes[1].pid, 20);
  EXPECT_EQ(options.folders[0].path, "/data/n1");
  EXPECT_TRUE(options.periodic);
  EXPECT_EQ(options.value_bytes, 100u);
}

TEST(BenchOptions, RefusesWhatMakesNoSense) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--workload", "z"},
                                             {"--in-flight", "0"},
                                             {"--rate", "-1"},
                                             {"--seconds", "0"},
                                             {"--pids", "n1"},
                                             {"--pids", "n1=x"},
                                             {"--pids", "n1=-4"},
                                             {"--folders", "=/x"},
                                             {"--exclude", "5", "5"},
                                             {"--exclude", "5"},
                                             {"--replicas", "2", "--w", "3"},
                                             {"--value-bytes", "4"},
                                             {"--target", "mongo"},
                                             {"--target", "redis", "--workload", "cart"},
                                             {"--no-such-option"}}) {
    const Parsed parsed = Parse(words);
    EXPECT_FALSE(parsed.outcome.run.has_value()) << words[0] << " " << words.back();
    EXPECT_EQ(parsed.outcome.exit_code, BenchExit::kBadUsage);
    EXPECT_FALSE(parsed.err.empty());
  }
}

TEST(BenchOptions, TakesAPeerAsTheTarget) {
  const Parsed parsed = Parse({"--target", "echo-stream", "--workload", "write"});
  ASSERT_TRUE(parsed.outcome.run.has_value()) << parsed.err;
  EXPECT_EQ(parsed.outcome.run->target, TargetKind::kEchoStream);
}

TEST(BenchOptions, HelpAndListEndWell) {
  const Parsed help = Parse({"--help"});
  EXPECT_FALSE(help.outcome.run.has_value());
  EXPECT_EQ(help.outcome.exit_code, BenchExit::kOk);
  EXPECT_NE(help.out.find("--in-flight INT:INT in [1 - 16000]"), std::string::npos) << help.out;
  const Parsed list = Parse({"--list"});
  EXPECT_EQ(list.outcome.exit_code, BenchExit::kOk);
  for (const Mix& mix : AllMixes()) {
    EXPECT_NE(list.out.find("\n" + std::string(mix.name) + " ") != std::string::npos,
              mix.name == "load")
        << mix.name;
  }
}

}  // namespace
}  // namespace gyre
