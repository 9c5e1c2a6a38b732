/** Where a picture lies on its stage: magnified, moved, flipped and turned. Lengths on the stage are CSS pixels. */

const LEAST_ZOOM = 0.5;
const MOST_ZOOM = 16;
// Columns of the quarter turns, clockwise: where the picture's x and y axes point on the stage.
const TURNS = [
  [1, 0, 0, 1],
  [0, 1, -1, 0],
  [-1, 0, 0, -1],
  [0, -1, 1, 0],
];

export class Placement {
  size = { width: 1, height: 1 }; // of the picture, in its own pixels
  stage = { width: 0, height: 0 };
  zoom = 1; // 1 fits the stage
  shift = { x: 0, y: 0 }; // of the picture's centre from the stage's
  flipped = false; // left and right of the screen, whatever was turned
  turns = 0; // quarters, clockwise

  /** CSS pixels for a pixel of the picture that fits the stage. */
  get fitting() {
    const { width, height } = this.turned;
    return Math.min(this.stage.width / width, this.stage.height / height);
  }

  get scale() {
    return this.fitting * this.zoom;
  }

  /** The picture's size as it is turned. */
  get turned() {
    const { width, height } = this.size;
    return this.turns % 2 ? { width: height, height: width } : this.size;
  }

  /** As CSS writes it, for an element whose origin is its upper left corner. */
  get matrix() {
    const [a, b, c, d] = this.#axes().map((part) => part * this.scale);
    const { width, height } = this.size;
    const e = this.stage.width / 2 + this.shift.x - (a * width + c * height) / 2;
    const f = this.stage.height / 2 + this.shift.y - (b * width + d * height) / 2;
    return [a, b, c, d, e, f];
  }

  toStage({ x, y }) {
    const [a, b, c, d, e, f] = this.matrix;
    return { x: a * x + c * y + e, y: b * x + d * y + f };
  }

  toPicture({ x, y }) {
    const [a, b, c, d, e, f] = this.matrix;
    const determinant = a * d - b * c;
    return { x: (d * (x - e) - c * (y - f)) / determinant, y: (a * (y - f) - b * (x - e)) / determinant };
  }

  /** Magnify about a point of the stage, from its centre; that point of the picture stays where it is. */
  magnify(factor, about = { x: 0, y: 0 }) {
    const zoom = Math.min(Math.max(this.zoom * factor, LEAST_ZOOM), MOST_ZOOM);
    const by = zoom / this.zoom;
    this.shift = { x: about.x + (this.shift.x - about.x) * by, y: about.y + (this.shift.y - about.y) * by };
    this.zoom = zoom;
    this.hold();
  }

  move(x, y) {
    this.shift = { x: this.shift.x + x, y: this.shift.y + y };
    this.hold();
  }

  fit() {
    this.zoom = 1;
    this.shift = { x: 0, y: 0 };
  }

  /** One pixel of the picture on one pixel of the screen. */
  actual() {
    this.magnify(1 / devicePixelRatio / this.scale);
  }

  turn() {
    this.turns = (this.turns + (this.flipped ? 3 : 1)) % 4; // what is mirrored turns the other way
    this.shift = { x: -this.shift.y, y: this.shift.x };
    this.hold();
  }

  flip() {
    this.flipped = !this.flipped;
    this.shift.x = -this.shift.x;
  }

  upright() {
    this.flipped = false;
    this.turns = 0;
  }

  /** Half of the picture stays in sight, however far it is moved. */
  hold() {
    const { width, height } = this.turned;
    const reach = { x: (width * this.scale) / 2, y: (height * this.scale) / 2 };
    this.shift.x = Math.min(Math.max(this.shift.x, -reach.x), reach.x);
    this.shift.y = Math.min(Math.max(this.shift.y, -reach.y), reach.y);
  }

  /** As far magnified and moved as another one, each by its own size. */
  follow(other) {
    this.zoom = other.zoom;
    const by = { x: this.turned.width / other.turned.width, y: this.turned.height / other.turned.height };
    const scales = other.scale ? this.scale / other.scale : 1;
    this.shift = { x: other.shift.x * by.x * scales, y: other.shift.y * by.y * scales };
    this.hold();
  }

  #axes() {
    const [a, b, c, d] = TURNS[this.turns];
    return this.flipped ? [-a, b, -c, d] : [a, b, c, d];
  }
}
