#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "api/cli/command_line.h"
#include "api/cli/terminal.h"
#include "api/mutex_checks.h"

namespace {

// A standard stream that the caller has closed stays unusable: without this the next file or socket
// that is opened would take its number, and be read or written in its place.
void HoldStandardStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) != -1) continue;
    // Opened the wrong way round, so that using it fails. It gets the lowest free number: this one.
    if (open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream) _exit(3);
  }
}

}  // namespace

int main(int argc, char** argv) {
  gyre::TurnOffMutexChecks();
  HoldStandardStreams();
  std::ios::sync_with_stdio(false);
  // `gyre dump t | head` ends when head does, without a word.
  std::signal(SIGPIPE, SIG_DFL);
  return gyre::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc), &std::cin,
                              &std::cout, &std::cerr, gyre::Terminal::Detect());
}
