//! Tokens that a provider used and did not tell: of a reply that broke off most wires tell nothing, and it is billed.

use crate::wire::Told;
use loopwright_protocol::{Block, Message, ModelRequest};
use loopwright_types::Usage;

/// Bytes that count as one token: few, so that an estimate is rather too high than too low. Text in English has about
/// four, code and JSON about three.
const BYTES_PER_TOKEN: u64 = 3;

fn tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

/// What a request used that its provider began to answer, and how much of it is estimated: the input from the request
/// where none was told, the output from what came after tokens were last told. Thinking that a provider does not show
/// cannot be seen, so it is not in it.
pub(crate) fn usage(told: Told, request: &ModelRequest, is_reply: bool) -> Usage {
    let mut usage = told.usage;
    if usage.input_tokens == 0 {
        usage.input_tokens = tokens(input_bytes(request));
        usage.estimated_tokens = usage.input_tokens;
    }
    let bytes = match told {
        Told { usage: Usage { output_tokens: 0, .. }, .. } => told.written,
        Told { is_whole: true, .. } if is_reply => 0,
        _ => told.untold,
    };
    let most = request.output_tokens_max.saturating_sub(usage.output_tokens);
    let output = tokens(bytes).min(most);
    usage.output_tokens += output;
    usage.estimated_tokens += output;
    usage
}

/// Bytes of everything that a model reads as its input.
fn input_bytes(request: &ModelRequest) -> usize {
    let tools = request.tools.iter();
    let tools = tools.map(|it| it.name.len() + it.description.len() + it.input.text().len());
    let schema = request.schema.as_ref().map_or(0, |it| it.text().len());
    let messages = request.messages.iter().map(|message| match message {
        Message::User { text } => text.len(),
        Message::Assistant { blocks } => blocks.iter().map(block_bytes).sum(),
        Message::Tools { results } => results.iter().map(|it| it.text.len()).sum(),
    });
    request.system.len() + tools.sum::<usize>() + schema + messages.sum::<usize>()
}

fn block_bytes(block: &Block) -> usize {
    match block {
        Block::Text { text } => text.len(),
        Block::ToolUse { name, arguments, .. } => name.len() + arguments.len(),
        Block::Native { item, .. } => item.text().len(),
    }
}
