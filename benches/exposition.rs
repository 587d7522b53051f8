//! Throughput of reading a metrics page: the budget is 500 MB/s on one core.

use diagnose::{
    evidence::SeriesSet,
    sources::exposition::{parse, record_page},
};
use divan::{Bencher, black_box, counter::BytesCount};

const PAGE: &[u8] = include_bytes!("../fixtures/exposition/vllm-0.23.0.prom");

fn main() {
    divan::main();
}

#[divan::bench]
fn parse_page(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_slice(PAGE)).bench(|| {
        let mut sum = 0.0;
        let summary = parse(black_box(PAGE), |sample| sum += sample.value);
        (summary, sum)
    });
}

/// Sixty pages of the same series: five minutes of scrapes, the first of which interns them.
#[divan::bench]
fn record_sixty_pages(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::new(60 * PAGE.len())).bench(|| {
        let mut set = SeriesSet::default();
        for at in 0..60 {
            let recorded = record_page(&mut set, f64::from(at), black_box(PAGE));
            assert!(recorded.is_ok());
        }
        set
    });
}
