// HttpDoor: /metrics and /healthz over plain HTTP, for Prometheus and for probes.
//
// Thread rule: Open and Close from the owner; the functions it is given are called on its own
// threads, of which it has a fixed number.

#ifndef GYRE_SERVER_HTTP_DOOR_H_
#define GYRE_SERVER_HTTP_DOOR_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "server/config.h"

namespace httplib {
class Server;
}

namespace gyre {

class HttpDoor {
 public:
  struct Pages {
    std::function<std::string()> metrics;
    // Empty when all is well, otherwise why not.
    std::function<std::string()> trouble;
  };

  static absl::StatusOr<std::unique_ptr<HttpDoor>> Open(const Address& address, Pages pages);
  HttpDoor(const HttpDoor&) = delete;
  HttpDoor& operator=(const HttpDoor&) = delete;
  ~HttpDoor();

 private:
  explicit HttpDoor(Pages pages);

  const Pages pages_;
  const std::unique_ptr<httplib::Server> server_;
  std::atomic<bool> ended_ = false;  // the thread listens no more
  std::thread thread_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_HTTP_DOOR_H_
