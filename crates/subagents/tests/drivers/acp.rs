//! A definition with `driver: acp` reaches its agent; what agents do is tested in `loopwright-acp`.

use crate::support::{Bench, json};
use loopwright_host::Driver;
use loopwright_types::{Attempt, CallId, Code};

/// An agent without a library: it tells what it was asked, after it asked for permission and was given a mode.
const AGENT: &str = r#"
read = lambda: json.loads(sys.stdin.readline())
def send(**message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def reply(result):
    message = read()
    send(id=message["id"], result=result)
    return message
reply({"protocolVersion": 1})
new = reply({"sessionId": "s", "modes": {"currentModeId": "ask", "availableModes": [{"id": "plan", "name": "Plan"}]}})
mode = reply({})["params"]["modeId"]
prompt = read()
send(id="p", method="session/request_permission", params={"sessionId": "s", "toolCall": {"toolCallId": "1", "kind": "read"},
    "options": [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]})
allowed = read()["result"]["outcome"]["optionId"]
told = {"mode": mode, "allowed": allowed, "cwd": new["params"]["cwd"], "token": os.environ["TOKEN"],
        "text": prompt["params"]["prompt"][0]["text"]}
send(method="session/update", params={"sessionId": "s", "update": {"sessionUpdate": "agent_message_chunk",
    "content": {"type": "text", "text": json.dumps(told)}}})
send(id=prompt["id"], result={"stopReason": "end_turn"})
"#;

#[test]
fn a_definition_reaches_its_agent_with_everything_it_says() {
    let extra = "driver: acp\npermissions: allow-reads\nmode: plan\nenv: [TOKEN=t]";
    let bench = Bench::new(AGENT, extra);
    let ended = bench.run(|work| work.schema = Some(json("{}")));
    let told: serde_json::Value = serde_json::from_str(ended.text()).unwrap();
    assert_eq!((&told["mode"], &told["allowed"]), (&"plan".into(), &"yes".into()));
    assert_eq!(told["token"], "t");
    assert_eq!(told["cwd"], bench.path().display().to_string());
    let text = told["text"].as_str().unwrap();
    assert!(text.starts_with("You are a worker.\n\n# Task\n\nthe task"), "{text}");
}

#[test]
fn an_agent_that_is_cancelled_is_gone() {
    let bench = Bench::new("print('up', file=sys.stderr)\ntime.sleep(600)", "driver: acp");
    bench.start(4, None, |_| ());
    bench.drivers.cancel(CallId(4), Attempt(1));
    let ended = bench.end();
    assert_eq!(ended.failure().code, Code::CANCELLED);
    crate::support::assert_gone(ended.pid);
}
