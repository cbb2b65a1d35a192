// Schedules of sums over pixels that are cut into parts, each of them a task, and joined by the last one.
#include "compiler/kernel/cpu/schedule_conv.h"
#include "runtime/kernel_abi.h"

Parts parts_of(int64_t images, int64_t units, int64_t wanted, int64_t least) {
  if (wanted <= 1) return (Parts){1, images, units};
  if (wanted <= images || units < 2 * least) {
    int64_t some = wanted < images ? images / wanted : 1, enough = ceil_div(least, units);
    if (some < enough) some = enough < images ? enough : images;
    return (Parts){ceil_div(images, some), some, units};
  }
  int64_t cut = ceil_div(wanted, images);
  if (cut > units / least) cut = units / least;
  int64_t size = ceil_div(units, cut);
  return (Parts){images * ceil_div(units, size), 1, size};
}

int64_t parts_most(int64_t groups, int64_t size, int64_t wanted) {
  const int64_t room = ((1 << 30) / (int64_t)sizeof(float) - SG_COUNTERS) / 2; // parts_of cuts less than twice as often
  if (groups > SG_COUNTERS || room / groups / size < 1) return 1;
  return room / groups / size < wanted ? room / groups / size : wanted;
}

void part_range(Ir *ir, const Parts *parts, IrExpr *part, int64_t images, int64_t units, IrExpr *range[4]) {
  int64_t cut = ceil_div(units, parts->size);
  if (cut == 1) {
    piece(ir, part, parts->images, images, &range[0], &range[1]);
    range[2] = ir_int(ir, 0), range[3] = ir_int(ir, units);
    return;
  }
  range[0] = ir_div(ir, part, cut), range[1] = ir_offset(ir, range[0], 1);
  piece(ir, ir_mod(ir, part, cut), parts->size, units, &range[2], &range[3]);
}

IrStmt *join_parts(Schedule *schedule, const Parts *parts, IrExpr *group, int64_t groups, IrExpr *part, IrExpr *sums,
                   int64_t size) {
  if (parts->n == 1) return schedule->body;
  Ir *ir = schedule->ir;
  IrExpr *zero = ir_int(ir, 0), *counters = ir_address(ir, ir_shared(ir, "counters", IR_FLOAT, SG_COUNTERS), zero);
  IrExpr *left = ir_address(ir, ir_shared(ir, "parts", IR_FLOAT, groups * parts->n * size), zero);
  IrExpr *args[] = {counters, left, group, part, ir_int(ir, parts->n), sums, ir_int(ir, size)};
  return ir_if(ir, schedule->body, ir_call(ir, IR_INDEX, "sg_join", 7, args))->body[0];
}
