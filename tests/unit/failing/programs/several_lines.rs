fn main() {
    assert_eq!(1 + 1, 3, "the sums of the shards differ");
}
