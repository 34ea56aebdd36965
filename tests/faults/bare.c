/* bare.c - a shared library that is no plug-in. */
__attribute__((visibility("default"))) int bary_nothing(void);

int bary_nothing(void)
{
    return 0;
}
