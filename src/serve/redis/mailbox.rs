//! Questions from other threads to the event loop, which has the engine answer them: it is the only entrance to the cluster.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot::{self, Sender};

use super::endpoint::{Bell, Endpoint};
use super::engine::Question;
use super::server::Server;
use crate::error::Error;

/// What is in the mailbox.
pub(super) enum Letter {
    /// For the engine.
    Question(Question),
    /// What the server is and has counted.
    Server(Sender<Server>),
}

/// Where any thread puts its questions.
#[derive(Clone)]
pub(super) struct Slot {
    letters: SyncSender<Letter>,
    bell: Bell,
}

impl Slot {
    /// A slot, and where it leads.
    pub(super) fn new(bell: Bell) -> (Slot, Receiver<Letter>) {
        let (letters, mailbox) = sync_channel(MOST_LETTERS);
        (Slot { letters, bell }, mailbox)
    }

    /// Asks the engine. E203: nothing was done. None: the loop has ended meanwhile.
    pub(super) async fn ask<T>(&self, question: impl FnOnce(Sender<T>) -> Question) -> Result<Option<T>, Error> {
        self.put(|reply| Letter::Question(question(reply))).await
    }

    /// What the server is and has counted, as of [`Slot::ask`].
    pub(super) async fn server(&self) -> Result<Option<Server>, Error> {
        self.put(Letter::Server).await
    }

    async fn put<T>(&self, letter: impl FnOnce(Sender<T>) -> Letter) -> Result<Option<T>, Error> {
        let (reply, answer) = oneshot::channel();
        self.letters.try_send(letter(reply)).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Busy { in_flight: MOST_LETTERS },
            TrySendError::Disconnected(_) => ENDED,
        })?;
        self.bell.ring();
        Ok(answer.await.ok())
    }
}

impl Endpoint {
    /// Takes what is in the mailbox. Who puts something there later rings again.
    pub(super) fn take_letters(&mut self) {
        for _ in 0..MOST_LETTERS {
            match self.mailbox.try_recv() {
                Ok(Letter::Question(question)) => {
                    if let Question::Write { value: Some(value), .. } = &question {
                        self.longest = value.len().max(self.longest);
                    }
                    self.engine.ask(question);
                }
                Ok(Letter::Server(reply)) => {
                    self.server.facts = self.engine.facts();
                    // Who has gone away needs no answer.
                    let _ = reply.send(self.server.clone());
                }
                Err(_) => return,
            }
        }
    }
}

/// Nothing was done.
pub(super) const ENDED: Error = Error::NotServing { why: "the server ends" };
/// Letters that nobody has taken yet: more than HTTP has connections.
const MOST_LETTERS: usize = 1_024;
