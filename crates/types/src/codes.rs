//! Every error code with its title. A code is never reused; `docs/errors/` has a page for each.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A stable error code, shown as `LW0101`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u16);

impl Code {
    /// The code's one-line title, if it is a known one.
    pub fn title(self) -> Option<&'static str> {
        CODES.binary_search_by_key(&self, |(code, _)| *code).ok().map(|at| CODES[at].1)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LW{:04}", self.0)
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let number = text.strip_prefix("LW").and_then(|digits| digits.parse().ok());
        number.map(Code).ok_or_else(|| serde::de::Error::custom("not an error code"))
    }
}

macro_rules! codes {
    ($($number:literal $name:ident $title:literal;)*) => {
        impl Code {
            $(#[doc = $title] pub const $name: Self = Self($number);)*
        }
        /// All codes in ascending order, with their titles.
        pub const CODES: &[(Code, &str)] = &[$((Code::$name, $title)),*];
    };
}

codes! {
    // 01xx: the program's text.
    101 SYNTAX "the program does not parse";
    102 TYPESCRIPT_NOT_ERASABLE "TypeScript syntax that has a runtime meaning";
    103 META_NOT_LITERAL "`meta` is not a pure literal";
    104 META_INVALID "`meta` has a field of the wrong type";
    105 IMPORT_REFUSED "an import reaches outside the program";
    106 PROGRAM_UNREADABLE "the program file cannot be read";
    107 PROGRAM_TOO_LARGE "the program is larger than its limit";
    108 IMPORT_NAME_UNKNOWN "an imported name does not exist";
    109 ARGS_INVALID "the run's arguments do not fit";
    110 CALL_NOT_AWAITED "a call is not awaited";
    111 META_FIELD_UNKNOWN "`meta` has a field that is not known";
    112 NAME_UNKNOWN "a name is not defined";
    // 02xx: values and calls across the bridge.
    201 VALUE_NOT_JSON "a value is not JSON";
    202 VALUE_TOO_LARGE "a value is larger than its limit";
    203 VALUE_TOO_DEEP "a value is nested deeper than its limit";
    204 VALUE_TOO_MANY_KEYS "a value has more members than its limit";
    205 OPTION_INVALID "an option of a call has the wrong type";
    206 OUTPUT_FLOOD "the program wrote more in one turn than its limit";
    207 ITEMS_TOO_MANY "a call was given more items than its limit";
    208 PROGRAM_THREW "the program threw an error";
    209 UNHANDLED_REJECTION "a promise was rejected and nothing handled it";
    210 NEVER_SETTLES "the program waits for something that can never happen";
    // 03xx: the sandbox.
    301 GUEST_CPU "the program computed for too long between two waits";
    302 GUEST_MEMORY "the program ran out of memory";
    303 GUEST_TRAP "the sandbox stopped the program";
    304 GUEST_SAFETY_STOP "the program did not answer and was stopped from outside";
    305 SNAPSHOT_MISMATCH "a snapshot belongs to another guest";
    306 SANDBOX_SETUP "the sandbox could not be set up";
    307 GUEST_STACK "the program recursed too deeply";
    // 04xx: schemas.
    401 SCHEMA_INVALID "a response schema is not a valid JSON Schema";
    402 SCHEMA_CONTRADICTS "a response schema can never be satisfied";
    403 SCHEMA_TOO_LARGE "a response schema is over its limits";
    404 ANSWER_INVALID "an answer does not match the response schema";
    // 05xx: the engine.
    501 TASK_LIMIT "the run's limit on tasks was reached";
    502 TASK_TIMEOUT "a task ran out of time";
    503 BUDGET_SPENT "a budget is spent";
    504 CANCELLED "a call was cancelled";
    505 WORKFLOW_UNKNOWN "a saved program was not found";
    506 WORKFLOW_TOO_DEEP "saved programs are nested too deeply";
    507 CALL_MALFORMED "the guest sent a call that cannot be read";
    508 JOURNAL_MISMATCH "the program does not match its journal";
    509 PARKED "the run waits for something outside";
    510 DEADLINE "a deadline passed";
    511 WORKFLOW_FAILED "a nested program failed";
    512 UNSUPPORTED "an option or call that this version does not support";
    513 APPROVAL_REJECTED "nobody approved";
    514 CALL_LIMIT "the run's limit on calls was reached";
    516 IN_DOUBT "a call was sent and nothing is known of its result";
    517 LOOKUP_FAILED "a lookup did not say what became of a call";
    520 FORK_AT_UNKNOWN "a run has no such task to fork at";
    521 FORK_EFFECTS "a fork would repeat what has effects";
    // 06xx: subagents.
    601 SUBAGENT_UNKNOWN "a subagent is not defined";
    602 DEFINITION_INVALID "a subagent definition cannot be read";
    603 COMMAND_NOT_STARTED "a subagent's command could not be started";
    604 COMMAND_FAILED "a subagent's command ended with a failure";
    605 COMMAND_ANSWER "a subagent's command gave no usable answer";
    606 MODEL_UNAVAILABLE "a subagent has no model";
    607 MOCK_FAILURE "the mock subagent failed on purpose";
    608 ANSWER_TOO_LARGE "a subagent's answer is larger than its limit";
    609 REPLY_LENGTH "a model's reply was cut off by its output limit";
    610 TURN_LIMIT "a subagent was not done within its turns";
    611 REPLY_EMPTY "a model answered nothing";
    // 07xx: tools.
    701 TOOL_UNKNOWN "a tool is not known";
    702 TOOL_NOT_ALLOWED "a tool is not allowed";
    703 TOOL_ARGUMENT "a tool was given a wrong argument";
    704 PATH_OUTSIDE "a path leaves the workspace";
    705 TOOL_FAILED "a tool failed";
    706 PATH_PROTECTED "a path is not written by tools";
    707 EDIT_MISMATCH "the text to replace is not there exactly once";
    708 SANDBOX_ABSENT "the kernel cannot confine a command";
    709 FETCH_REFUSED "an address may not be fetched";
    // 08xx: the journal and its directory.
    801 DATA_DIR "the data directory cannot be used";
    802 DISK_FULL "the disk is full";
    803 JOURNAL_DAMAGED "a journal record is damaged";
    804 JOURNAL_NEWER "the journal was written by a newer version";
    805 RUN_UNKNOWN "there is no such run";
    806 JOURNAL_FAILED "the journal could not be written";
    807 RUN_LIVE "a run is being recorded by another process";
    808 RUN_FENCED "another process has taken a run over";
    809 RUN_ENDED "a run has already ended";
    810 RUN_EXISTS "a run is already recorded";
    811 EXPORT_DAMAGED "an exported run is damaged";
    812 EXPORT_FILE "the file of an exported run cannot be used";
    813 RUN_NOT_LIVE "no process executes a run";
    814 QUESTION_UNKNOWN "a run does not wait for this answer";
    815 ANSWER_UNFIT "an answer does not fit its question";
    816 DETACH_FAILED "a run could not be started in the background";
    817 WORKSPACE_GONE "a recorded run's workspace is gone";
    818 DEFINITION_CHANGED "something that a recorded run uses has changed";
    819 RUN_EMPTY "a run was stopped before anything of it was recorded";
    820 JOURNAL_OLDER "the journal was written by a version before the first release";
    // 09xx: command line and settings.
    901 SETTING_UNKNOWN "a setting is not known";
    902 SETTING_INVALID "a setting's value does not fit";
    903 SETTINGS_FILE "the settings file cannot be read";
    904 USAGE "the command line cannot be understood";
    905 FILE_EXISTS "a file is in the way";
    906 NOTHING_TO_TEST "there is nothing to test";
    // 10xx: model providers.
    1001 KEY_MISSING "a provider's key is missing";
    1002 KEY_REFUSED "a provider refused the key";
    1003 MODEL_UNKNOWN "a model is not known";
    1004 PROVIDER_UNKNOWN "a model provider is not known";
    1005 PROVIDER_SETTINGS "a provider's settings cannot be used";
    1006 PROVIDER_UNREACHABLE "a provider cannot be reached";
    1007 RATE_LIMITED "a provider wants fewer requests";
    1008 PROVIDER_OVERLOADED "a provider is overloaded or failed";
    1009 QUOTA_SPENT "a provider's quota is spent";
    1010 REQUEST_REFUSED "a provider refused the request";
    1011 REPLY_CUT "a model's reply was cut off";
    1012 REPLY_MALFORMED "a model's reply cannot be read";
    1013 REPLY_TOO_LARGE "a model's reply is larger than its limit";
    1014 PROVIDER_DEADLINE "a provider did not answer in time";
    1015 MODEL_REFUSED "a model or its provider refused to answer";
    1016 CONTEXT_TOO_LONG "a conversation is too long for the model";
    1017 FEATURE_UNSUPPORTED "a model does not support what was asked";
    // 11xx: MCP servers.
    1101 MCP_FILE "the file of MCP servers cannot be read";
    1102 MCP_DEFINITION "the definition of an MCP server does not fit";
    1103 MCP_NOT_STARTED "an MCP server did not start";
    1104 MCP_LOST "the connection to an MCP server broke";
    1105 MCP_PROTOCOL "an MCP server does not keep to the protocol";
    1106 MCP_TOO_LARGE "a message of an MCP server is larger than its limit";
    1107 MCP_LOGIN "an MCP server wants a login";
    1108 MCP_INPUT "an MCP server asked for input that nobody gives";
    1109 MCP_CHANGED "a tool of an MCP server changed during the run";
    1110 MCP_TOOL "a tool of an MCP server cannot be used";
    1111 MCP_TIMEOUT "an MCP server did not answer in time";
    1112 MCP_ERROR "an MCP server answered with an error";
    1113 MCP_RESULT "a result does not fit the output schema of its MCP tool";
    // 12xx: agents over the Agent Client Protocol.
    1201 AGENT_NOT_STARTED "an agent could not be started";
    1202 AGENT_NOT_READY "an agent did not get ready for its task";
    1203 AGENT_PROTOCOL "an agent does not keep to the protocol";
    1204 AGENT_LOGIN "an agent wants to be logged in";
    1205 AGENT_OPTION "an agent does not offer what was asked for";
    1206 AGENT_FAILED "an agent failed";
    1207 AGENT_NO_ANSWER "an agent ended its turn without an answer";
    1208 AGENT_SERVER "an agent cannot reach an MCP server that it is given";
    // 13xx: worktrees.
    1301 REPOSITORY_UNFIT "the workspace is in no git repository that can give worktrees";
    1302 GIT_UNAVAILABLE "git cannot be used";
    1303 WORKTREE_FAILED "a worktree could not be made or finished";
    1304 WORKTREE_UNKNOWN "a worktree is not one of ours";
    1305 BRANCH_REFUSED "a branch is not a subagent's";
    1306 PATCH_CONFLICT "a branch's changes do not fit the workspace";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_each_has_a_title() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(Code::META_NOT_LITERAL.to_string(), "LW0103");
        assert_eq!(Code::SYNTAX.title(), Some("the program does not parse"));
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        for (code, title) in CODES {
            let page = std::fs::read_to_string(format!("{docs}/{code}.md"))
                .unwrap_or_else(|error| panic!("docs/errors/{code}.md: {error}"));
            let head = format!("# {code}: {title}\n");
            assert!(page.starts_with(&head), "docs/errors/{code}.md must start with `{head}`");
        }
        for entry in std::fs::read_dir(docs).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let known = name == "README.md" || CODES.iter().any(|(c, _)| name == format!("{c}.md"));
            assert!(known, "docs/errors/{name} explains a code that does not exist");
        }
    }
}
