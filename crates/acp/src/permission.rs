//! Requests for permission are answered by policy. Only answers for this one time are given: one that is remembered
//! would change the agent's own settings, and with them runs to come.

use crate::agent::Permissions;
use crate::session::{Session, kind_word};
use agent_client_protocol::v1::schema;
use schema::{
    PermissionOptionKind, RequestPermissionOutcome, RequestPermissionRequest,
    SelectedPermissionOutcome, ToolKind,
};

/// The answer, which is told as progress too.
pub(crate) fn answer(
    policy: Permissions,
    session: &Session,
    request: &RequestPermissionRequest,
) -> RequestPermissionOutcome {
    if session.is_cancelled() {
        return RequestPermissionOutcome::Cancelled;
    }
    let tool = session.tool(&request.tool_call);
    let wanted = match allows(policy, tool.kind) {
        true => PermissionOptionKind::AllowOnce,
        false => PermissionOptionKind::RejectOnce,
    };
    let option = |kind| request.options.iter().find(|option| option.kind == kind);
    // Who offers no permission for this one time gets none.
    let chosen = option(wanted).or_else(|| option(PermissionOptionKind::RejectOnce));
    let verb = match chosen.map(|option| option.kind) {
        Some(PermissionOptionKind::AllowOnce) => "allowed",
        Some(_) => "rejected",
        None => "not answered, as the agent offers no answer that fits",
    };
    session.tell(&format!(
        "permission {verb} (`{}`): {}: {}",
        policy.as_str(),
        kind_word(tool.kind),
        tool.title
    ));
    match chosen {
        Some(option) => RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(
            option.option_id.clone(),
        )),
        None => RequestPermissionOutcome::Cancelled,
    }
}

fn allows(policy: Permissions, kind: ToolKind) -> bool {
    match policy {
        Permissions::Reject => false,
        Permissions::AllowReads => {
            matches!(kind, ToolKind::Read | ToolKind::Search | ToolKind::Think)
        }
        Permissions::AllowOnce => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(policy: Permissions, kind: &str, options: &[&str]) -> String {
        let session = Session::new(1000, Box::new(|_| ()));
        let options: Vec<_> = options
            .iter()
            .map(|kind| json!({"optionId": kind, "name": "x", "kind": kind}))
            .collect();
        let request = json!({"sessionId": "s", "toolCall": {"toolCallId": "1", "title": "t", "kind": kind},
                             "options": options});
        match answer(policy, &session, &serde_json::from_value(request).unwrap()) {
            RequestPermissionOutcome::Selected(it) => it.option_id.0.to_string(),
            _ => "cancelled".to_owned(),
        }
    }

    #[test]
    fn every_request_is_answered_by_policy_and_for_this_time_only() {
        use Permissions::{AllowOnce, AllowReads, Reject};
        let all = ["allow_always", "allow_once", "reject_always", "reject_once"];
        let cases: [(Permissions, &str, &[&str], &str); 12] = [
            (Reject, "read", &all, "reject_once"),
            (Reject, "edit", &["allow_once"], "cancelled"),
            (AllowReads, "read", &all, "allow_once"),
            (AllowReads, "search", &all, "allow_once"),
            (AllowReads, "think", &all, "allow_once"),
            (AllowReads, "fetch", &all, "reject_once"),
            (AllowReads, "edit", &all, "reject_once"),
            (AllowReads, "execute", &all, "reject_once"),
            (AllowReads, "something_new", &all, "reject_once"),
            (AllowOnce, "execute", &all, "allow_once"),
            (AllowOnce, "execute", &["allow_always", "reject_once"], "reject_once"),
            (AllowOnce, "execute", &["allow_always", "reject_always"], "cancelled"),
        ];
        for (policy, kind, options, expected) in cases {
            assert_eq!(ask(policy, kind, options), expected, "{policy:?} {kind} {options:?}");
        }
    }

    #[test]
    fn nothing_is_allowed_once_the_turn_is_cancelled() {
        let session = Session::new(1000, Box::new(|_| ()));
        session.cancelled();
        let request = json!({"sessionId": "s", "toolCall": {"toolCallId": "1"},
                             "options": [{"optionId": "a", "name": "x", "kind": "allow_once"}]});
        let request = serde_json::from_value(request).unwrap();
        let outcome = answer(Permissions::AllowOnce, &session, &request);
        assert!(matches!(outcome, RequestPermissionOutcome::Cancelled));
    }
}
