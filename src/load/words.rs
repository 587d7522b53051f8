//! Text of a wanted length: common words, each about one token in every tokenizer.

use super::rng::Rng;

const WORDS: [&str; 128] = [
    "the", "and", "for", "that", "with", "this", "from", "have", "they", "will", "one", "all",
    "would", "there", "their", "what", "out", "about", "who", "get", "which", "when", "make",
    "can", "like", "time", "just", "him", "know", "take", "people", "into", "year", "your", "good",
    "some", "could", "them", "see", "other", "than", "then", "now", "look", "only", "come", "its",
    "over", "think", "also", "back", "after", "use", "two", "how", "our", "work", "first", "well",
    "way", "even", "new", "want", "because", "any", "these", "give", "day", "most", "book",
    "story", "volume", "page", "order", "price", "shop", "red", "blue", "green", "river",
    "mountain", "city", "house", "door", "window", "table", "chair", "paper", "music", "night",
    "light", "water", "fire", "earth", "wind", "king", "queen", "friend", "family", "child",
    "school", "road", "train", "car", "ship", "plane", "food", "bread", "milk", "tea", "coffee",
    "fruit", "apple", "tree", "flower", "garden", "bird", "fish", "dog", "cat", "horse", "summer",
    "winter", "spring", "morning", "evening", "world", "life",
];

/// So many words.
pub fn text(rng: &mut Rng, words: u32) -> String {
    let mut text = String::with_capacity(words as usize * 6);
    for index in 0..words {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(WORDS[rng.between(0, WORDS.len() as u32 - 1) as usize]);
    }
    text
}
