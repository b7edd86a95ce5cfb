// Terminal: what the screen that we write to can show. Read from the environment once, by main;
// tests make their own.

#ifndef GYRE_API_CLI_TERMINAL_H_
#define GYRE_API_CLI_TERMINAL_H_

namespace gyre {

struct Terminal {
  bool out = false;      // standard output is a terminal
  bool err = false;      // standard error is one
  bool colour = false;   // standard output is one, NO_COLOR is unset and TERM is not dumb
  bool unicode = false;  // the locale's character set is UTF-8
  int columns = 80;

  static Terminal Detect();
};

}  // namespace gyre

#endif  // GYRE_API_CLI_TERMINAL_H_
