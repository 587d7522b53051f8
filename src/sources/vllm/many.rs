//! Many servers side by side: each is sampled as one alone is, all within one window.

use std::{collections::BTreeMap, io, pin::pin, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{sync::Semaphore, time::sleep};

use super::{Live, Sampler, unusable};
use crate::{evidence::bundle::Bundle, sources::http::Client};

/// Servers asked at once: as many as keep two cores busy, so that answers are timed and not the
/// queue for them.
const BUSY: usize = 32;

/// Servers asked at once with those that are slow. Each takes six sockets, and 1,024 open files is
/// the usual limit.
const OPEN: usize = 120;

/// How long a server is waited for before the next one is asked as well.
const PATIENCE: Duration = Duration::from_millis(500);

/// Raw evidence of one server, packed: hundreds of them wait until they are judged.
#[derive(Debug)]
pub struct Visit {
    /// Which server, by its place in the list.
    pub index: usize,
    bundle: Bundle,
    packed: BTreeMap<u64, Vec<u8>>,
}

impl Visit {
    /// The evidence as it came.
    pub fn unpack(mut self) -> io::Result<Bundle> {
        for (at, packed) in self.packed {
            self.bundle.scrapes.insert(at, zstd::decode_all(packed.as_slice())?);
        }
        Ok(self.bundle)
    }
}

/// Samples every server and gives what came of each as soon as it is there. A server that is slow
/// or dead costs its own deadlines and holds up no other one.
pub async fn sample_all(servers: &[Live], mut came: impl FnMut(Visit)) {
    let gates = Gates { busy: Semaphore::new(BUSY), open: Semaphore::new(OPEN) };
    let mut clients = Vec::new();
    let mut under_way = FuturesUnordered::new();
    for (index, live) in servers.iter().enumerate() {
        match client(&mut clients, live) {
            Ok(client) => under_way.push(visit(index, live, client, &gates)),
            Err(why) => {
                came(Visit { index, bundle: unusable(live, why), packed: BTreeMap::new() });
            }
        }
    }
    while let Some(visit) = under_way.next().await {
        came(visit);
    }
}

struct Gates {
    busy: Semaphore,
    open: Semaphore,
}

/// A client like one that is there already, as reading certificates takes longer than asking.
fn client(clients: &mut Vec<Client>, live: &Live) -> Result<Client, String> {
    for known in clients.iter() {
        if let Some(client) = known.beside(&live.url)? {
            return Ok(client);
        }
    }
    let new = Client::new(&live.url, &live.http)?;
    clients.push(new.clone());
    Ok(new)
}

async fn visit(index: usize, live: &Live, client: Client, gates: &Gates) -> Visit {
    let mut packed = BTreeMap::new();
    let mut sampler: Option<Sampler> = None;
    for offset in live.schedule() {
        if let Some(begun) = &sampler {
            sleep(offset.saturating_sub(begun.began.0.elapsed())).await;
        }
        let open = gates.open.acquire().await;
        let busy = gates.busy.acquire().await;
        // Its window begins when it is asked first, not when it began to wait for that.
        let sampler = sampler.get_or_insert_with(|| Sampler::new(client.clone(), Vec::new()));
        ask(sampler, busy).await;
        drop(open);
        packed.extend(packed_pages(&mut sampler.bundle));
        if sampler.nothing_came() {
            break;
        }
    }
    let bundle = sampler.map(|it| it.finish(false)).unwrap_or_default();
    Visit { index, bundle, packed }
}

/// One round; a slow one lets others through.
async fn ask<T>(sampler: &mut Sampler, busy: T) {
    let mut round = pin!(sampler.round());
    tokio::select! {
        () = &mut round => return,
        () = sleep(PATIENCE) => drop(busy),
    }
    round.await;
}

/// Takes the pages out of a bundle. One that cannot be packed stays.
fn packed_pages(bundle: &mut Bundle) -> BTreeMap<u64, Vec<u8>> {
    let pages = std::mem::take(&mut bundle.scrapes);
    let mut packed = BTreeMap::new();
    for (at, page) in pages {
        match zstd::bulk::compress(&page, 1) {
            Ok(bytes) => drop(packed.insert(at, bytes)),
            Err(_) => drop(bundle.scrapes.insert(at, page)),
        }
    }
    packed
}
