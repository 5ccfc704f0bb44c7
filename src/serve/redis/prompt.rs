//! `KVSIM`: a line of the prompt as statements, and what came of them as one reply.

use std::collections::VecDeque;

use crate::command::render::text::{self, Look};
use crate::command::{CommandError, Parsed, Response, parse, split};
use crate::wire::resp::Reply;

/// The statements of a line. Of one that cannot be cut into words there is none but the error.
pub(super) fn statements(line: &[u8]) -> VecDeque<Result<Parsed, CommandError>> {
    match split::statements(line) {
        Ok(statements) => statements.map(|statement| Ok(parse(statement?)?)).collect(),
        Err(error) => VecDeque::from([Err(error.into())]),
    }
}

/// All that was answered, as text. An error is an error to the client only where it is the only answer.
pub(super) fn reply(mut results: Vec<Result<Response, CommandError>>) -> Reply {
    if let (1, Some(Err(_))) = (results.len(), results.last())
        && let Some(Err(error)) = results.pop()
    {
        return Reply::Error(text::error_line(&error, None));
    }
    let mut all = Vec::new();
    for result in results {
        match result {
            Ok(response) => all.extend(text::render(&response, Look::default())),
            Err(error) => {
                all.extend(text::error_line(&error, None).bytes());
                all.push(b'\n');
            }
        }
    }
    let text = String::from_utf8_lossy(&all);
    Reply::Text(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}
