fn main() {
    let text = std::fs::read_to_string("/no/such/file").unwrap();
    println!("{text}");
}
