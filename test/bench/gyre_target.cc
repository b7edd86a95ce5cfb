#include "test/bench/gyre_target.h"

#include <optional>
#include <utility>

namespace gyre {
namespace {

Reply ReplyOfFailure(const absl::Status& status) {
  Reply reply;
  reply.status = status;
  const std::optional<v1::ErrorDetail> detail = GetErrorDetail(status);
  // Without a detail nobody says that it had no effect.
  reply.outcome_unknown = !detail.has_value() || detail->outcome_unknown();
  return reply;
}

template <class Result>
Reply ReplyOfWrite(absl::StatusOr<Result> result) {
  if (!result.ok()) return ReplyOfFailure(result.status());
  Reply reply;
  reply.context = std::move(result->context);
  return reply;
}

Reply ReplyOfGet(absl::StatusOr<GetResult> result) {
  if (!result.ok()) return ReplyOfFailure(result.status());
  Reply reply;
  reply.absent = result->found() ? 0 : 1;
  reply.values = std::move(result->values);
  reply.context = std::move(result->context);
  return reply;
}

}  // namespace

void GyreTarget::Start(Request* request, Done done) {
  switch (request->kind) {
    case Request::Kind::kGet:
      client_->Get(table_, request->key, {},
                   [done = std::move(done)](absl::StatusOr<GetResult> result) {
                     done(ReplyOfGet(std::move(result)));
                   });
      return;
    case Request::Kind::kPut:
      StartPut(request, std::move(done));
      return;
    case Request::Kind::kDelete:
      client_->Delete(table_, request->key, {.context = request->context},
                      [done = std::move(done)](absl::StatusOr<DeleteResult> result) {
                        done(ReplyOfWrite(std::move(result)));
                      });
      return;
    case Request::Kind::kMultiGet:
      StartMultiGet(*request, std::move(done));
      return;
  }
}

void GyreTarget::StartPut(Request* request, Done done) {
  WriteOptions options;
  options.context = request->context;
  if (request->blind) options.mode = WriteMode::kBlind;
  client_->Put(table_, request->key, std::move(request->value), std::move(options),
               [done = std::move(done)](absl::StatusOr<PutResult> result) {
                 done(ReplyOfWrite(std::move(result)));
               });
}

// One failed item fails the request.
void GyreTarget::StartMultiGet(const Request& request, Done done) {
  client_->MultiGet(table_, request.keys, {},
                    [done = std::move(done)](const absl::StatusOr<MultiGetResult>& result) {
                      if (!result.ok()) return done(ReplyOfFailure(result.status()));
                      Reply reply;
                      for (const absl::StatusOr<GetResult>& item : *result) {
                        if (!item.ok()) return done(ReplyOfFailure(item.status()));
                        if (!item->found()) ++reply.absent;
                      }
                      done(std::move(reply));
                    });
}

void GyreTarget::InBatch(const std::function<void()>& body) {
  const BatchScope scope = client_->Batch();
  body();
}

}  // namespace gyre
