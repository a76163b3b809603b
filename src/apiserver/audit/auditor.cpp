#include "apiserver/audit/auditor.h"

namespace k8lite::apiserver::audit {

std::unique_ptr<Record> Auditor::begin(const authn::Identity& user, const RequestInfo& info, std::string audit_id) {
  Decision decision = policy_.decide(user.user, info);
  levels_.at(metrics::Labels().add("level", level_name(decision.level))).add();
  if (decision.level == Level::None) return nullptr;
  auto r = std::make_unique<Record>();
  r->decision = decision;
  r->audit_id = std::move(audit_id);
  r->user = user;
  r->info = info;
  r->received = clock_.now();
  return r;
}

void Auditor::tell(const Record& record, Stage stage) {
  if (!record.decision.tells(stage)) return;
  ++events_;
  log_->submit(event_line(record, stage, clock_.now()));
}

void Auditor::write_metrics(std::string& out) const {
  using metrics::Type;
  metrics::write_sample(out, "apiserver_audit_event_total", Type::Counter, "Audit events made.", "",
                        static_cast<double>(events_.load()));
  metrics::write_sample(out, "apiserver_audit_error_total", Type::Counter, "Audit events that could not be written.",
                        "plugin=\"log\"", static_cast<double>(log_->dropped()));
  levels_.write(out);
}

}  // namespace k8lite::apiserver::audit
