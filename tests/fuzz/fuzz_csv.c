/* A list of image files, as it is; most of what it names is not there, two pictures are. */
#include <stdio.h>
#include <string.h>

#include <png.h>

#include "data/data.h"
#include "fuzz.h"

static void make_pictures(void)
{
    static const char *const names[] = {"list/a.png", "list/b.png"};
    static bool made;
    for (size_t i = 0; i < MDL_COUNT(names) && !made; i++) {
        const uint8_t rgb[12] = {(uint8_t)i, 1, 2, 3};
        png_image image = {.version = PNG_IMAGE_VERSION, .height = 2, .width = 2};
        image.format = PNG_FORMAT_RGB;
        fuzz_must(png_image_write_to_file(&image, fuzz_file(names[i], "", 0), 0, rgb, 0, NULL) != 0,
                  "a picture was written");
    }
    made = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mdl_data_config config = mdl_data_config_default();
    mdl_data *read = NULL;
    make_pictures();
    snprintf(config.source, sizeof(config.source), "csv:%s",
             fuzz_file("list/list.csv", data, size));
    config.image_size = 2;
    config.skip_damaged = true;
    mdl_status status = mdl_data_read(&config, &read);
    fuzz_must((status == MDL_OK) == (read != NULL), "there is a set where it was read");
    if (fuzz_worked(status))
        for (int s = 0; s < 3; s++)
            for (size_t i = 0; i < read->count[s]; i++) {
                const mdl_dataset *set = mdl_data_set(read, (mdl_split)s);
                size_t image = read->index[s][i];
                fuzz_must(image < set->count && set->labels[image] >= 0 &&
                              (size_t)set->labels[image] < set->classes,
                          "labels are below the number of classes");
            }
    mdl_data_close(read);
    return 0;
}
