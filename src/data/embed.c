/* Runs while building: writes a file's bytes as a C array, so that a program carries it.
 * embed INPUT OUTPUT NAME */
#include <stdio.h>

int main(int argc, char **argv)
{
    FILE *in = argc == 4 ? fopen(argv[1], "rb") : NULL;
    FILE *out = in != NULL ? fopen(argv[2], "w") : NULL;
    if (out == NULL) {
        fprintf(stderr, "usage: embed INPUT OUTPUT NAME (both files must open)\n");
        if (in != NULL)
            fclose(in);
        return 1;
    }
    fprintf(out, "#include <stddef.h>\n\nextern const unsigned char %s[];\n", argv[3]);
    fprintf(out, "extern const size_t %s_size;\n\nconst unsigned char %s[] = {", argv[3], argv[3]);
    unsigned long size = 0;
    for (int byte = getc(in); byte != EOF; byte = getc(in), size++)
        fprintf(out, "%s%d,", size % 20 == 0 ? "\n" : "", byte);
    fprintf(out, "\n};\nconst size_t %s_size = %lu;\n", argv[3], size);
    int failed = ferror(in) != 0 || size == 0;
    fclose(in);
    if (fclose(out) != 0)
        failed = 1;
    return failed;
}
