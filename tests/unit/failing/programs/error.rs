fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/no/such/file")?;
    println!("{text}");
    Ok(())
}
