/* The program of the README: logits of raw images from standard input. */
#include <mendel/mendel.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    mdl_predictor *predictor;
    if (argc < 2 || mdl_predictor_open(argv[1], "cpu", 0, 1, &predictor) != MDL_OK) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: predict CHECKPOINT" : mdl_error_detail());
        return 1;
    }
    static uint8_t pixels[2048 * 2048 * 4]; /* one image: height x width x channels bytes */
    static float logits[65536];
    mdl_predictor_shape shape = mdl_predictor_get_shape(predictor);
    size_t size = shape.height * shape.width * shape.channels;
    mdl_status status = MDL_OK;
    while (status == MDL_OK && fread(pixels, 1, size, stdin) == size) {
        status = mdl_predictor_run(predictor, pixels, 1, logits);
        for (size_t c = 0; c < shape.classes; c++)
            printf("%.9g%c", (double)logits[c], c + 1 < shape.classes ? ' ' : '\n');
    }
    mdl_predictor_close(predictor);
    return status != MDL_OK;
}
