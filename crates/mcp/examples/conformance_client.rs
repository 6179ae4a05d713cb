//! The client that the official MCP conformance suite starts: it does what a program of ours would do and lets the suite
//! judge what it saw. `.ci/mcp-conformance` runs it; the last argument is the server's address.

use loopwright_mcp::{Answer, Answers, Browser, Options, Question, Servers};
use loopwright_types::{Code, Failure, Settings};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// Logins in a row after which a server that is never content is given up.
const LOGINS_MAX: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().next_back().ok_or("the server's address is missing")?;
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    let context = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let context: Value = serde_json::from_str(&context).unwrap_or_default();
    let folder = tempfile::tempdir()?;
    let oauth = oauth(&scenario, &context);
    let file = json!({ "mcpServers": { "suite": { "type": "http", "url": url, "oauth": oauth } } });
    std::fs::write(folder.path().join(".mcp.json"), file.to_string())?;
    let settings = Settings::default();
    let mut options = Options::new(&settings, &folder.path().join("data"));
    // Only scenarios about questions have somebody who answers: the others see what a run would show.
    if scenario.contains("elicitation") || scenario.contains("request-state") {
        options = options.answers(Arc::new(Defaults));
    }
    let (servers, diagnostics) = Servers::load(folder.path(), options);
    if let Some(diagnostic) = diagnostics.first() {
        return Err(diagnostic.to_string().into());
    }
    let diagnostics = connect(&servers).map_err(|it| it.message)?;
    for diagnostic in &diagnostics {
        eprintln!("{diagnostic}");
    }
    eprintln!("revision: {:?}", servers.revision("suite"));
    call_tools(&servers, &context).map_err(|it| it.message)?;
    servers.shutdown();
    Ok(())
}

/// What the suite gives a client beforehand. The address of the metadata document is the one it looks for.
fn oauth(scenario: &str, context: &Value) -> Value {
    let mut oauth = json!({
        "clientMetadataUrl": "https://conformance-test.local/client-metadata.json",
    });
    if let Some(id) = context.get("client_id") {
        oauth["clientId"] = id.clone();
        oauth["clientSecret"] = context.get("client_secret").cloned().unwrap_or_default();
    }
    let given = |name: &str| context.get(name).cloned().unwrap_or_default();
    match scenario {
        "auth/client-credentials-basic" => oauth["grant"] = json!("client_credentials"),
        "auth/client-credentials-jwt" => {
            oauth["grant"] = json!("client_credentials");
            oauth["privateKey"] = given("private_key_pem");
        }
        "auth/wif-jwt-bearer" => {
            oauth["grant"] = json!("jwt_bearer");
            oauth["assertion"] = given("valid_jwt");
        }
        "auth/enterprise-managed-authorization" => {
            oauth["grant"] = json!("identity_assertion");
            oauth["assertion"] = given("idp_id_token");
            let (endpoint, client) = (given("idp_token_endpoint"), given("idp_client_id"));
            oauth["identityProvider"] = json!({ "tokenEndpoint": endpoint, "clientId": client });
        }
        _ => {}
    }
    oauth
}

/// Connects, and logs in where the server wants it, once more after each new demand.
fn connect(servers: &Servers) -> Result<Vec<loopwright_types::Diagnostic>, Failure> {
    for _ in 0..LOGINS_MAX {
        let diagnostics = servers.connect_all();
        if !diagnostics.iter().any(|it| it.code == Code::MCP_LOGIN) {
            return Ok(diagnostics);
        }
        eprintln!("{}", diagnostics[0]);
        servers.login("suite", Arc::new(Straight), PATIENCE)?;
    }
    Ok(servers.connect_all())
}

/// Calls every tool once, and once more after each login that a call asks for.
fn call_tools(servers: &Servers, context: &Value) -> Result<(), Failure> {
    let given = context.get("toolCalls").and_then(Value::as_array).cloned().unwrap_or_default();
    if !given.is_empty() {
        for call in &given {
            let name = format!("suite.{}", call["name"].as_str().unwrap_or_default());
            call_tool(servers, &name, &call["arguments"])?;
        }
        return Ok(());
    }
    let tools = servers.tools();
    for tool in &tools {
        let schema: Value = tool.input.read().unwrap_or_default();
        let mut args = sample(&schema);
        // A scenario wants to see what became of another tool's schema.
        let other = tools.iter().find(|it| it.name != tool.name);
        if let (Some(argument), Some(other)) = (args.get_mut("schema"), other) {
            *argument = other.input.read().unwrap_or_default();
        }
        call_tool(servers, &tool.name, &Value::Object(args))?;
    }
    Ok(())
}

fn call_tool(servers: &Servers, name: &str, args: &Value) -> Result<(), Failure> {
    for _ in 0..LOGINS_MAX {
        let result = servers.call(name, args, &|| false, &|line| eprintln!("{line}"));
        match result {
            Err(failure) if failure.code == Code::MCP_LOGIN => {
                eprintln!("{}", failure.message);
                servers.login("suite", Arc::new(Straight), PATIENCE)?;
            }
            result => {
                eprintln!("{name} {args}: {result:?}");
                break;
            }
        }
    }
    Ok(())
}

/// Arguments that fit a simple schema.
fn sample(schema: &Value) -> Map<String, Value> {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let value = |it: &Value| match it.get("type").and_then(Value::as_str) {
        Some("number" | "integer") => json!(5),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("text"),
    };
    properties.iter().map(|(name, it)| (name.clone(), value(it))).collect()
}

/// Follows the consent page as a browser would; the suite's page consents by itself.
struct Straight;

impl Browser for Straight {
    fn open(&self, url: &str) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let visit = async { reqwest::Client::builder().build()?.get(url).send().await };
        runtime.block_on(visit).map(|_| ()).map_err(io::Error::other)
    }
}

/// Answers a question with the defaults of its schema.
struct Defaults;

impl Answers for Defaults {
    fn answer(&self, question: &Question) -> Answer {
        let schema = question.schema.clone().unwrap_or_default();
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let filled = properties.iter().map(|(name, it)| {
            let sampled = || match it.get("type").and_then(Value::as_str) {
                Some("boolean") => json!(true),
                Some("number" | "integer") => json!(1),
                _ => json!("text"),
            };
            (name.clone(), it.get("default").cloned().unwrap_or_else(sampled))
        });
        Answer::Give(Value::Object(filled.collect()))
    }
}
