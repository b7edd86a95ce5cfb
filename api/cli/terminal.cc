#include "api/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace gyre {
namespace {

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

bool LocaleIsUtf8() {
  // The first that is set decides (POSIX, "Environment Variables", section 8.2).
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view value = Environment(name);
    if (value.empty()) continue;
    return value.find("UTF-8") != std::string_view::npos ||
           value.find("utf8") != std::string_view::npos;
  }
  return false;
}

}  // namespace

Terminal Terminal::Detect() {
  Terminal terminal;
  terminal.out = isatty(STDOUT_FILENO) == 1;
  terminal.err = isatty(STDERR_FILENO) == 1;
  const std::string_view term = Environment("TERM");
  terminal.colour =
      terminal.out && Environment("NO_COLOR").empty() && !term.empty() && term != "dumb";
  terminal.unicode = LocaleIsUtf8();
  winsize size = {};
  const int screen = terminal.out ? STDOUT_FILENO : STDERR_FILENO;
  if (ioctl(screen, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.columns = size.ws_col;
  return terminal;
}

}  // namespace gyre
