//! A proxy on loopback that makes a far network of it: everything arrives later by half a round trip, in both directions. It counts
//! what passes.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use shipright::anyhow::{Context as _, Result};

/// How an HTTP request begins.
const METHODS: [&[u8]; 6] = [
    b"GET /",
    b"HEAD /",
    b"POST /",
    b"PUT /",
    b"PATCH /",
    b"DELETE /",
];

/// What has passed.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Connections that were made.
    connections: AtomicU64,
    /// HTTP requests.
    requests: AtomicU64,
    /// Bytes from clients.
    sent: AtomicU64,
    /// Half a round trip, in microseconds.
    half: AtomicU64,
}

impl Passed {
    /// What has passed since the last time.
    pub(super) fn take(&self) -> Value {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        json!({ "connections": take(&self.connections), "requests": take(&self.requests), "bytes-sent": take(&self.sent) })
    }

    /// Makes a round trip take so long.
    pub(super) fn delay(&self, round_trip: Duration) {
        let half = u64::try_from(round_trip.as_micros() / 2).unwrap_or(0);
        self.half.store(half, Ordering::Relaxed);
    }

    fn half(&self) -> Duration {
        Duration::from_micros(self.half.load(Ordering::Relaxed))
    }
}

/// Starts a proxy to a port of this machine. Returns its own port. It ends with the process.
pub(super) fn start(to: u16) -> Result<(u16, Arc<Passed>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port can be had")?;
    let port = listener.local_addr()?.port();
    let passed = Arc::new(Passed::default());
    let counts = Arc::clone(&passed);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else {
                continue;
            };
            counts.connections.fetch_add(1, Ordering::Relaxed);
            // A handshake takes a round trip before the first byte is sent.
            let handshake = counts.half() * 2;
            let _ = client.set_nodelay(true).and(server.set_nodelay(true));
            let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone())
            else {
                continue;
            };
            pass(from_client, server, handshake, Arc::clone(&counts), true);
            pass(
                from_server,
                client,
                Duration::ZERO,
                Arc::clone(&counts),
                false,
            );
        }
    });
    Ok((port, passed))
}

/// Hands on what one side says, later.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    handshake: Duration,
    counts: Arc<Passed>,
    is_client: bool,
) {
    let (sender, parts) = mpsc::channel::<(Instant, Vec<u8>)>();
    let begun = Instant::now();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let part = buffer[..length].to_vec();
            if is_client {
                counts.sent.fetch_add(length as u64, Ordering::Relaxed);
                // A client waits for the answer before it sends the next request, which so begins a part of its own.
                if METHODS.iter().any(|method| part.starts_with(method)) {
                    counts.requests.fetch_add(1, Ordering::Relaxed);
                }
            }
            let earliest = begun + handshake;
            if sender
                .send((Instant::now().max(earliest) + counts.half(), part))
                .is_err()
            {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, part) in parts {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&part).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
