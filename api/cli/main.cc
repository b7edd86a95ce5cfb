#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "api/cli/command_line.h"
#include "api/cli/terminal.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  // `gyre dump t | head` ends when head does, without a word.
  std::signal(SIGPIPE, SIG_DFL);
  return gyre::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc), &std::cin,
                              &std::cout, &std::cerr, gyre::Terminal::Detect());
}
