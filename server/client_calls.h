// Calls of a client of the table "carts", one at a time, as tests of gyred make them.
//
//   EXPECT_TRUE(Put(stub.get(), PutOf("key", "value")).status.ok());
//   EXPECT_EQ(ValuesOf(stub.get(), "key").size(), 1u);
//
// For tests. Any thread.

#ifndef GYRE_SERVER_CLIENT_CALLS_H_
#define GYRE_SERVER_CLIENT_CALLS_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "api/error_translation.h"
#include "api/proto/gyre.grpc.pb.h"

namespace gyre {

// What a unary call answered: its status, and the detail of its error.
struct Answer {
  grpc::Status status;
  v1::ErrorDetail detail;
};

inline v1::ErrorDetail DetailOf(const grpc::ClientContext& context) {
  v1::ErrorDetail detail;
  const auto& trailers = context.GetServerTrailingMetadata();
  if (const auto it = trailers.find(kErrorTrailer); it != trailers.end()) {
    EXPECT_TRUE(detail.ParseFromArray(it->second.data(), static_cast<int>(it->second.size())));
  }
  return detail;
}

// Of a request: no test here is about its time, and a sanitizer may make it slow.
inline constexpr uint32_t kPatienceMs = 60'000;

inline v1::PutRequest PutOf(const std::string& key, const std::string& value) {
  v1::PutRequest put;
  put.set_table("carts");
  put.set_key(key);
  put.set_value(value);
  put.mutable_options()->set_timeout_ms(kPatienceMs);
  return put;
}

inline Answer Put(v1::Gyre::Stub* stub, const v1::PutRequest& request,
                  v1::PutReply* reply = nullptr) {
  grpc::ClientContext context;
  v1::PutReply unused;
  Answer answer;
  answer.status = stub->Put(&context, request, reply == nullptr ? &unused : reply);
  answer.detail = DetailOf(context);
  return answer;
}

inline Answer Get(v1::Gyre::Stub* stub, const std::string& key, v1::GetReply* reply) {
  grpc::ClientContext context;
  v1::GetRequest request;
  request.set_table("carts");
  request.set_key(key);
  request.mutable_options()->set_timeout_ms(kPatienceMs);
  Answer answer;
  answer.status = stub->Get(&context, request, reply);
  answer.detail = DetailOf(context);
  return answer;
}

inline std::vector<std::string> ValuesOf(v1::Gyre::Stub* stub, const std::string& key) {
  v1::GetReply reply;
  const Answer answer = Get(stub, key, &reply);
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  return {reply.values().begin(), reply.values().end()};
}

}  // namespace gyre

#endif  // GYRE_SERVER_CLIENT_CALLS_H_
