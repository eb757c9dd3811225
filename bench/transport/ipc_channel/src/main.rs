// Round trips over the crate ipc-channel, for bench/transport/peers.cpp: each line of the standard input asks for one
// figure, "shared BYTES TRIPS", "bytes BYTES TRIPS" or "empty TRIPS"; the answer is microseconds a trip.
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::process::Command;
use std::time::Instant;

#[derive(Serialize, Deserialize)]
enum Message {
    Empty,
    Bytes(Vec<u8>),
    Shared(IpcSharedMemory),
}

type Ends = (IpcSender<Message>, IpcReceiver<Message>);

// Sends back what it gets, after reading one byte.
fn echo(server: String) {
    let (to_us, ours) = ipc::channel::<Message>().expect("a channel");
    let (back, from_us) = ipc::channel::<Message>().expect("a channel");
    let parent: IpcSender<Ends> = IpcSender::connect(server).expect("the parent");
    parent.send((to_us, from_us)).expect("the parent listens");
    let mut sum = 0u64;
    while let Ok(message) = ours.recv() {
        sum += match &message {
            Message::Empty => 0,
            Message::Bytes(bytes) => u64::from(bytes[bytes.len() - 1]),
            Message::Shared(memory) => u64::from(memory[memory.len() - 1]),
        };
        if back.send(message).is_err() {
            break;
        }
    }
    std::hint::black_box(sum);
}

fn time(trips: u32, mut trip: impl FnMut()) -> f64 {
    trip();
    let begun = Instant::now();
    for _ in 0..trips {
        trip();
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(trips)
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.len() == 3 && words[1] == "echo" {
        return echo(words[2].clone());
    }
    let (server, name) = IpcOneShotServer::<Ends>::new().expect("a server");
    let mut child = Command::new(&words[0]).args(["echo", &name]).spawn().expect("a child");
    let (_, (there, back)) = server.accept().expect("the child connects");
    let round_trip = |message: Message| {
        there.send(message).expect("the child lives");
        std::hint::black_box(back.recv().expect("the child answers"));
    };
    let mut memory: Option<IpcSharedMemory> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |i: usize| words[i].parse::<usize>().expect("a number");
        let took = match words[0] {
            "shared" => {
                if memory.as_ref().map(|m| m.len()) != Some(number(1)) {
                    drop(memory.take()); // before the next is made: both may not fit
                    memory = Some(IpcSharedMemory::from_byte(7, number(1)));
                }
                let object = memory.as_ref().expect("made above");
                time(number(2) as u32, || round_trip(Message::Shared(object.clone())))
            }
            "bytes" => {
                let bytes = vec![7u8; number(1)];
                time(number(2) as u32, || round_trip(Message::Bytes(bytes.clone())))
            }
            _ => time(number(1) as u32, || round_trip(Message::Empty)),
        };
        println!("{took}");
        std::io::stdout().flush().expect("somebody reads");
    }
    drop(there);
    drop(back);
    let _ = child.wait();
}
