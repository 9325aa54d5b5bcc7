//! The live view on a terminal: takes the screen, draws after every message, gives the screen back however it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use jiff::Timestamp;
use kube::Client;
use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::{
    Ending, feed,
    model::{Message, Model},
    update::update,
    view,
};
use crate::{error::Error, look::Look, screen::ansi};

/// Time between two drawings when nothing happens: the ages on the screen count seconds.
const TICK: Duration = Duration::from_millis(500);
/// Longest time that a pressed key may wait, and that leaving takes.
const KEY_POLL: Duration = Duration::from_millis(50);
/// Decisions that a page key scrolls by.
const PAGE: isize = 8;

/// Gives the screen back when dropped: also after an error, and when the future is dropped.
struct Screen(ratatui::DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

pub(super) async fn run(client: Client, mut model: Model, look: Look) -> Result<Ending, Error> {
    let (to, mut messages) = mpsc::channel(feed::QUEUE);
    let mut screen = Screen(ratatui::try_init()?);
    let keys = Keys::start(to.clone());
    let watches = feed::start(&client, &model.namespace, &model.guard_name, &to);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let stop = stop_asked();
    tokio::pin!(stop);
    let ending = loop {
        tokio::select! {
            _ = tick.tick() => {}
            message = messages.recv() => if let Some(message) = message { update(&mut model, message) },
            () = &mut stop => update(&mut model, Message::Quit),
        }
        while let Ok(message) = messages.try_recv() {
            update(&mut model, message);
        }
        update(&mut model, Message::Tick(Timestamp::now()));
        if let Some(ending) = model.end.take() {
            break ending;
        }
        screen.0.draw(|frame| view::view(&model, &look, frame))?;
    };
    let width = screen.0.size().map_or(80, |size| usize::from(size.width));
    drop(keys);
    drop(watches);
    drop(screen);
    let text = ansi::text(&view::last_picture(&model, &look, width.max(40)), look.color);
    crate::output::write(&text)?;
    Ok(ending)
}

/// Ends when the process is asked to end from outside.
async fn stop_asked() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            return;
        }
    }
    std::future::pending().await
}

/// Reads keys in a thread of its own, since reading them blocks; ends when dropped.
struct Keys {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Keys {
    fn start(to: mpsc::Sender<Message>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                match event::poll(KEY_POLL) {
                    Ok(false) => {}
                    Ok(true) => {
                        let Ok(event) = event::read() else {
                            // The terminal is gone: nobody watches any more.
                            let _ = to.blocking_send(Message::Quit);
                            return;
                        };
                        if let Some(message) = message(&event)
                            && to.blocking_send(message).is_err()
                        {
                            return;
                        }
                    }
                    // No keyboard: the view goes on without one.
                    Err(_) => return,
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within KEY_POLL; a key pressed after that belongs to the shell.
            let _ = thread.join();
        }
    }
}

fn message(event: &Event) -> Option<Message> {
    match event {
        Event::Resize(..) => Some(Message::Resize),
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(key),
        _ => None,
    }
}

fn pressed(key: &KeyEvent) -> Option<Message> {
    match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
        (KeyCode::Char('c' | 'd'), true) | (KeyCode::Char('q' | 'Q') | KeyCode::Esc, false) => Some(Message::Quit),
        (KeyCode::Down | KeyCode::Char('j'), false) => Some(Message::Scroll(1)),
        (KeyCode::Up | KeyCode::Char('k'), false) => Some(Message::Scroll(-1)),
        (KeyCode::PageDown, false) => Some(Message::Scroll(PAGE)),
        (KeyCode::PageUp, false) => Some(Message::Scroll(-PAGE)),
        (KeyCode::Home, false) => Some(Message::Scroll(isize::MIN)),
        _ => None,
    }
}
