// HeldPort: a free port of loopback for a server under test. A server may listen on it, since it
// sets SO_REUSEADDR like all of ours; nobody else is given it meanwhile, neither by asking for a
// free port nor for a connection to somewhere. One thread.

#ifndef GYRE_SERVER_HELD_PORT_H_
#define GYRE_SERVER_HELD_PORT_H_

#include "server/config.h"

namespace gyre {

class HeldPort {
 public:
  HeldPort();
  HeldPort(const HeldPort&) = delete;
  HeldPort& operator=(const HeldPort&) = delete;
  ~HeldPort();

  const Address& address() const { return address_; }

  // Listens on it: from now on every other server is refused.
  void Listen();

 private:
  const int socket_;
  Address address_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_HELD_PORT_H_
