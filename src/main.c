/* The composition root: reads top to bottom as what the program is made of. */
int main(void)
{
    return 0;
}
