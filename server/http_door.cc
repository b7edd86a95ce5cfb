#include "server/http_door.h"

#include <httplib.h>
#include <pthread.h>

#include <utility>

#include "server/listen_port.h"

namespace gyre {
namespace {

constexpr size_t kThreads = 2;
constexpr time_t kPatienceSeconds = 5;
constexpr size_t kMaxRequestBytes = 64 << 10;

}  // namespace

HttpDoor::HttpDoor(Pages pages)
    : pages_(std::move(pages)), server_(std::make_unique<httplib::Server>()) {
  server_->new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  // Without the library's SO_REUSEPORT, which would let two processes share the port.
  server_->set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  server_->set_read_timeout(kPatienceSeconds);
  server_->set_write_timeout(kPatienceSeconds);
  server_->set_keep_alive_timeout(1);
  server_->set_payload_max_length(kMaxRequestBytes);
  server_->Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
    response.set_content(pages_.metrics(), "text/plain; version=0.0.4");
  });
  server_->Get("/healthz", [this](const httplib::Request&, httplib::Response& response) {
    const std::string trouble = pages_.trouble();
    response.status = trouble.empty() ? 200 : 503;
    response.set_content(trouble.empty() ? "ok\n" : trouble + "\n", "text/plain");
  });
}

absl::StatusOr<std::unique_ptr<HttpDoor>> HttpDoor::Open(const Address& address, Pages pages) {
  std::unique_ptr<HttpDoor> door(new HttpDoor(std::move(pages)));
  if (!door->server_->bind_to_port(address.host, address.port)) {
    return CannotListen("http_listen", address);
  }
  door->thread_ = std::thread([door = door.get()] {
    door->server_->listen_after_bind();
    door->ended_ = true;
  });
  pthread_setname_np(door->thread_.native_handle(), "http");
  // A stop that came before the thread listens would be lost, and the thread then never end.
  while (!door->server_->is_running() && !door->ended_) std::this_thread::yield();
  return door;
}

HttpDoor::~HttpDoor() {
  server_->stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace gyre
