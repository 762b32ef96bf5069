
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* image FILE TEXT: creates an image with a line of text */


#include <leptonica/allheaders.h>


int
main(int argc, char *const *argv)
{
    PIX      *pix;
    L_BMF    *bmf;
    l_int32   width, overflow;

    if (argc != 3) {
        return 2;
    }

    pix = pixCreate(1000, 100, 8);
    bmf = bmfCreate(NULL, 20);

    if (pix == NULL || bmf == NULL) {
        return 1;
    }

    pixSetAll(pix);
    pixSetTextline(pix, bmf, argv[2], 0, 50, 60, &width, &overflow);

    return pixWrite(argv[1], pix, IFF_PNG);
}
