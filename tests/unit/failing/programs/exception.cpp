#include <iostream>
#include <stdexcept>

int main() {
    std::cout << "begin" << std::endl;
    throw std::runtime_error("disk full");
}
