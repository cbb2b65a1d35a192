// Groups of nodes as graph text, one or more for each op: what the kernels of every target are tested with.
#ifndef SG_TESTS_KERNEL_TEXTS_H
#define SG_TESTS_KERNEL_TEXTS_H

typedef struct TextCase {
  const char *name;
  const char *text; // %r (and %s where there is one) are the results
} TextCase;

#define X    "%x = input \"x\" : [2, 13, 5, 7]\n"
#define WIDE "%x = input \"x\" : [2, 13, 4, 45]\n"
#define X2   X "%y = input \"y\" : [2, 13, 5, 7]\n"
#define FLAT "%x = input \"x\" : [3, 37]\n%y = input \"y\" : [3, 37]\n"
#define R    "output \"r\" = %r\n"
#define UNARY(op)                                                                                                      \
  {#op, X "%r = " #op "(%x)\n" R}, { #op " flat", FLAT "%r = " #op "(%x)\n" R }
#define POSITIVE(op)                                                                                                   \
  { #op, X "%a = abs(%x)\n%r = " #op "(%a)\n" R }
#define BINARY(op)                                                                                                     \
  {#op, X2 "%r = " #op "(%x, %y)\n" R}, {                                                                              \
#op " by channel", X "%c = input \"c\" : [1, 13, 1, 1]\n%r = " #op "(%x, %c)\n" R                                  \
  }

static const TextCase text_cases[] = {
    UNARY(neg),
    UNARY(abs),
    UNARY(exp),
    POSITIVE(log),
    POSITIVE(sqrt),
    POSITIVE(rsqrt),
    UNARY(sin),
    UNARY(cos),
    UNARY(tanh),
    UNARY(sigmoid),
    UNARY(relu),
    UNARY(hard_sigmoid),
    {"leaky_relu", X "%r = leaky_relu(%x) slope=0.2\n" R},
    {"elu", X "%r = elu(%x) alpha=1.5\n" R},
    {"clamp", X "%r = clamp(%x) lo=-0.25 hi=0.5\n" R},
    BINARY(add),
    BINARY(sub),
    BINARY(mul),
    BINARY(div),
    BINARY(minimum),
    BINARY(maximum),
    BINARY(less),
    BINARY(less_equal),
    {"equal", X2 "%a = relu(%x)\n%b = relu(%y)\n%r = equal(%a, %b)\n" R},
    {"select", X2 "%a = relu(%x)\n%r = select(%a, %x, %y)\n" R},
    {"scalars", "%x = input \"x\" : []\n%y = input \"y\" : []\n%r = sub(%x, %y)\n" R},
    {"column", "%x = input \"x\" : [9, 1]\n%y = input \"y\" : [1, 21]\n%r = sub(%x, %y)\n" R},
    {"rank 6", "%x = input \"x\" : [2, 3, 2, 2, 3, 5]\n%y = input \"y\" : [3, 1, 2, 1, 5]\n%r = mul(%x, %y)\n" R},

    {"sum of pixels", X "%r = sum(%x) axes=[2, 3]\n" R},
    {"sum of pixels kept", X "%r = sum(%x) axes=[2, 3] keep=true\n" R},
    {"sum per channel", X "%r = sum(%x) axes=[0, 2, 3]\n" R},
    {"sum per channel kept", X "%r = sum(%x) axes=[0, 2, 3] keep=true\n" R},
    {"sum of channels", X "%r = sum(%x) axes=[1] keep=true\n" R},
    {"sum of channels and pixels", X "%r = sum(%x) axes=[1, 2, 3]\n" R},
    {"sum of all", X "%r = sum(%x) axes=[0, 1, 2, 3]\n" R},
    {"sum of images", X "%r = sum(%x) axes=[0]\n" R},
    {"sum of rows", FLAT "%r = sum(%x) axes=[1]\n" R},
    {"sum of columns", FLAT "%r = sum(%x) axes=[0]\n" R},
    {"sum of many", "%x = input \"x\" : [3, 5003]\n%q = mul(%x, %x)\n%r = sum(%q) axes=[0, 1]\n" R},
    {"sum of many small rows", "%x = input \"x\" : [3001, 3]\n%q = mul(%x, %x)\n%r = sum(%q) axes=[0]\n" R},
    {"max of channels", X "%r = max(%x) axes=[1]\n" R},
    {"max of all", X "%r = max(%x) axes=[0, 1, 2, 3]\n" R},
    {"max per channel", X "%r = max(%x) axes=[0, 2, 3]\n" R},
    {"sum of products", X2 "%p = mul(%x, %y)\n%r = sum(%p) axes=[0, 2, 3]\n" R},
    {"two sums and more", X "%q = mul(%x, %x)\n%r = sum(%x) axes=[0, 2, 3]\n%b = sum(%q) axes=[0, 2, 3]\n"
                            "%a = mul(%r, %r)\n%s = sub(%b, %a)\n" R "output \"s\" = %s\n"},
    {"softmax of channels", X "%m = max(%x) axes=[1] keep=true\n%d = sub(%x, %m)\n%e = exp(%d)\n"
                              "%t = sum(%e) axes=[1] keep=true\n%r = div(%e, %t)\n" R},
    {"mean of many channels by their softmax",
     "%x = input \"x\" : [2, 200, 3, 4]\n%c = input \"c\" : [2, 200, 1, 1]\n%e = exp(%x)\n"
     "%t = sum(%e) axes=[1] keep=true\n%p = div(%e, %t)\n%q = mul(%p, %c)\n%r = sum(%q) axes=[1] keep=true\n" R},
    {"softmax of far channels",
     "%x = input \"x\" : [2, 43, 10, 128]\n%m = max(%x) axes=[1] keep=true\n%d = sub(%x, %m)\n%e = exp(%d)\n"
     "%t = sum(%e) axes=[1] keep=true\n%r = div(%e, %t)\n" R},
    {"mean of far channels by their softmax",
     "%x = input \"x\" : [2, 43, 9, 144]\n%c = input \"c\" : [2, 43, 1, 1]\n%m = max(%x) axes=[1] keep=true\n"
     "%d = sub(%x, %m)\n%e = exp(%d)\n%t = sum(%e) axes=[1] keep=true\n%p = div(%e, %t)\n%q = mul(%p, %c)\n"
     "%r = sum(%q) axes=[1] keep=true\n" R},
    {"softmax of rows", FLAT "%m = max(%x) axes=[1] keep=true\n%d = sub(%x, %m)\n%e = exp(%d)\n"
                             "%t = sum(%e) axes=[1] keep=true\n%r = div(%e, %t)\n" R},
    {"cumsum", FLAT "%r = cumsum(%x) axis=1\n" R},
    {"cumsum reversed", FLAT "%r = cumsum(%x) axis=0 reverse=true\n" R},
    {"cumsum of channels", X "%r = cumsum(%x) axis=1\n" R},

    {"reshape", X "%r = reshape(%x) shape=[26, 35]\n" R},
    {"reshape in a chain", X "%a = reshape(%x) shape=[26, 5, 7]\n%r = relu(%a)\n" R},
    {"reshape to blocks", "%x = input \"x\" : [26, 35]\n%r = reshape(%x) shape=[2, 13, 5, 7]\n" R},
    {"transpose", FLAT "%r = transpose(%x) perm=[1, 0]\n" R},
    {"transpose of four", X "%r = transpose(%x) perm=[0, 2, 3, 1]\n" R},
    {"broadcast", "%x = input \"x\" : [13, 1, 1]\n%r = broadcast(%x) shape=[2, 13, 5, 7]\n" R},
    {"concat of channels", X "%y = input \"y\" : [2, 9, 5, 7]\n%r = concat(%x, %y) axis=1\n" R},
    {"concat of rows", FLAT "%r = concat(%x, %y, %x) axis=0\n" R},
    {"concat of columns", FLAT "%r = concat(%x, %y) axis=1\n" R},
    {"concat of large",
     "%x = input \"x\" : [2, 16, 65, 33]\n%y = input \"y\" : [2, 9, 65, 33]\n%r = concat(%x, %y) axis=1\n" R},
    {"slice", X "%r = slice(%x) axis=1 start=2 stop=11\n" R},
    {"slice of steps", X "%r = slice(%x) axis=3 start=1 stop=7 step=2\n" R},
    {"slice of rows", FLAT "%r = slice(%x) axis=1 start=3 stop=30\n" R},
    {"pad", X "%r = pad(%x) before=[0, 0, 1, 2] after=[0, 0, 2, 1] value=0.5\n" R},
    {"pad of channels", X "%r = pad(%x) before=[0, 3, 0, 0] after=[0, 4, 0, 0] value=0\n" R},
    {"flip", X "%r = flip(%x) axis=3\n" R},
    {"flip of channels", X "%r = flip(%x) axis=1\n" R},

    {"matmul", "%x = input \"x\" : [5, 17]\n%y = input \"y\" : [17, 19]\n%r = matmul(%x, %y)\n" R},
    {"matmul turned", "%x = input \"x\" : [2, 17, 5]\n%y = input \"y\" : [19, 17]\n"
                      "%r = matmul(%x, %y) transpose_a=true transpose_b=true\n" R},
    {"conv2d in groups", "%x = input \"x\" : [2, 12, 7, 6]\n%w = input \"w\" : [20, 3, 3, 3]\n"
                         "%r = conv2d(%x, %w) stride=2 padding=1 dilation=1 groups=4\n" R},
    {"conv2d_dx in groups", "%x = input \"x\" : [2, 20, 4, 3]\n%w = input \"w\" : [20, 3, 3, 3]\n"
                            "%r = conv2d_dx(%x, %w) stride=2 padding=1 dilation=1 groups=4 height=7 width=6\n" R},
    {"conv2d_dw in groups", "%x = input \"x\" : [2, 12, 7, 6]\n%g = input \"g\" : [2, 20, 4, 3]\n"
                            "%r = conv2d_dw(%x, %g) stride=2 padding=1 dilation=1 groups=4 kh=3 kw=3\n" R},

    {"resize", X "%r = resize(%x) size=[11, 9] mode=bilinear align_corners=true\n" R},
    {"resize of half pixels", X "%r = resize(%x) size=[10, 14] mode=bilinear align_corners=false\n" R},
    {"resize smaller", X "%r = resize(%x) size=[3, 3] mode=bilinear align_corners=false\n" R},
    {"resize of rows", X "%r = resize(%x) size=[9, 7] mode=bilinear align_corners=true\n" R},
    {"resize to nearest", X "%r = resize(%x) size=[8, 21] mode=nearest\n" R},
    {"resize and add", X "%y = input \"y\" : [2, 13, 10, 14]\n"
                         "%a = resize(%x) size=[10, 14] mode=bilinear align_corners=false\n%r = add(%a, %y)\n" R},
    {"resize of wide rows", WIDE "%r = resize(%x) size=[7, 90] mode=bilinear align_corners=false\n" R},
    {"resize of wide rows by 1.4", WIDE "%r = resize(%x) size=[4, 63] mode=bilinear align_corners=true\n" R},
    {"resize of wide rows to half", WIDE "%r = resize(%x) size=[2, 22] mode=bilinear align_corners=false\n" R},
    {"resize of wide rows to a fifth", WIDE "%r = resize(%x) size=[4, 9] mode=bilinear align_corners=false\n" R},
    {"resize of wide rows to nearest", WIDE "%r = resize(%x) size=[5, 75] mode=nearest\n" R},
    {"resize_grad", X "%r = resize_grad(%x) size=[3, 4] mode=bilinear align_corners=true\n" R},
    {"resize_grad of half pixels", X "%r = resize_grad(%x) size=[2, 3] mode=bilinear align_corners=false\n" R},
    {"resize_grad to larger", X "%r = resize_grad(%x) size=[9, 11] mode=bilinear align_corners=false\n" R},
    {"resize_grad to nearest", X "%r = resize_grad(%x) size=[2, 14] mode=nearest\n" R},

    {"nearest", "%x = input \"x\" : [2, 23]\n%y = input \"y\" : [2, 11]\n"
                "%z = constant {1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} : [2, 11]\n%r = "
                "nearest(%x, %y, %z)\n" R},
    {"gather", "%x = input \"x\" : [2, 23]\n%y = input \"y\" : [2, 11]\n%f = fill() shape=[] value=30\n"
               "%i = mul(%y, %f)\n%r = gather(%x, %i)\n" R},
    {"scatter_add", "%x = input \"x\" : [2, 5]\n%y = constant {0, 3, 3, -1, 6, 2, 7, 2, 2, 0} : [2, 5]\n"
                    "%r = scatter_add(%x, %y) size=7\n" R},
    {"random", "%k = constant {1234567, 7654321} : [2]\n%r = random(%k) shape=[3, 5, 7] stream=123456789012345\n" R},
    {"random in a share", "%k = constant {1e6, 3, 5} : [3]\n%r = random(%k) shape=[3, 5, 7] stream=9 each=35\n" R},
    {"random runs in a share",
     "%k = constant {1e6, 3, 2} : [3]\n%r = random(%k) shape=[2, 20001] stream=7 each=20001\n" R},
    {"random in runs", "%k = constant {1e9, -3} : [2]\n%r = random(%k) shape=[3, 20001] stream=7\n" R},
    {"relayout", X "%r = relayout(%x)\n" R},

    {"chain",
     X2 "%c = input \"c\" : [1, 13, 1, 1]\n%f = fill() shape=[] value=0.5\n%a = mul(%x, %c)\n%b = add(%a, %y)\n"
        "%d = mul(%b, %f)\n%r = relu(%d)\n%s = exp(%d)\n" R "output \"s\" = %s\n"},
    {"scaled by the image's channels",
     X "%c = input \"c\" : [2, 13, 1, 1]\n%h = hard_sigmoid(%c)\n%r = mul(%x, %h)\n" R},
    {"weighted sum of channels", X2 "%p = mul(%x, %y)\n%a = sum(%p) axes=[1] keep=true\n%r = sqrt(%a)\n" R},
    {"adam", "%p = input \"p\" : [91]\n%g = input \"g\" : [91]\n%m = input \"m\" : [91]\n%h = input \"h\" : [4]\n"
             "%l = slice(%h) axis=0 start=0 stop=1\n%b = slice(%h) axis=0 start=1 stop=2\n"
             "%d = sub(%g, %m)\n%e = mul(%b, %d)\n%s = add(%m, %e)\n%u = mul(%l, %s)\n%r = sub(%p, %u)\n" R
             "output \"s\" = %s\n"},
};

#endif
