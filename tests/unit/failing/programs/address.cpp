// -fsanitize=address
int main(int argc, char **) {
    int *rows = new int[3];
    delete[] rows;
    return rows[argc];
}
